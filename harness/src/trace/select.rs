// SPDX-License-Identifier: GPL-2.0-only
//! Which events are meant by a name or a pattern.

use super::Usage;

/// The module's own.
pub const SYSTEM: &str = "faultline";

/// An event, by system and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The directory of its system.
    pub system: String,
    /// Its own.
    pub event: String,
}

impl Name {
    /// As it is typed.
    pub fn text(&self) -> String {
        format!("{}:{}", self.system, self.event)
    }

    /// Whether a pattern of the user's means it. Without a system it is one of the
    /// module's, which may be named without `faultline_`.
    fn is_meant_by(&self, pattern: &str) -> bool {
        let (system, event) = pattern.split_once(':').unwrap_or((SYSTEM, pattern));
        let short = self.event.strip_prefix("faultline_");
        matches(system, &self.system)
            && (matches(event, &self.event) || short.is_some_and(|short| matches(event, short)))
    }
}

/// All of `there` that one of `patterns` means; each must mean some.
pub fn select(there: &[Name], patterns: &[String]) -> Result<Vec<Name>, Usage> {
    for pattern in patterns {
        if !there.iter().any(|name| name.is_meant_by(pattern)) {
            return Err(unknown(there, pattern));
        }
    }
    let meant = |name: &&Name| patterns.iter().any(|pattern| name.is_meant_by(pattern));
    Ok(there.iter().filter(meant).cloned().collect())
}

/// Splits EVENT:EXPR, where EVENT may have a system; the events that it means.
pub fn filter<'a>(there: &[Name], option: &'a str) -> Result<(Vec<Name>, &'a str), Usage> {
    let colons: Vec<usize> = option.match_indices(':').map(|(at, _)| at).collect();
    // The longest that means anything: an expression may have colons, too.
    for &at in colons.iter().take(2).rev() {
        let (pattern, expression) = (&option[..at], option[at + 1..].trim());
        let meant = select(there, &[pattern.to_owned()]);
        if let (Ok(events), false) = (meant, expression.is_empty()) {
            return Ok((events, expression));
        }
    }
    match colons.first() {
        Some(&at) if !option[at + 1..].trim().is_empty() => Err(unknown(there, &option[..at])),
        _ => Err(Usage(format!(
            "--filter '{option}': not EVENT:EXPR, such as 'fault_aborted:cause == 3'"
        ))),
    }
}

fn unknown(there: &[Name], pattern: &str) -> Usage {
    let own = there.iter().filter(|name| name.system == SYSTEM);
    let own: Vec<&str> = own.map(|name| name.event.as_str()).collect();
    if own.is_empty() {
        return Usage(format!(
            "no event {pattern}, and none of {SYSTEM}: is the module loaded?"
        ));
    }
    Usage(format!(
        "no event {pattern}; those of {SYSTEM} are {}",
        own.join(", ")
    ))
}

/// A pattern in which `*` is any text and `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = rest.as_str();
            let mut tails = text.char_indices().map(|(at, _)| &text[at..]);
            tails.any(|tail| matches(rest, tail)) || matches(rest, "")
        }
        Some(first) => {
            let mut chars = text.chars();
            let next = chars.next();
            next.is_some_and(|c| first == '?' || first == c)
                && matches(rest.as_str(), chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there() -> Vec<Name> {
        let names = [
            ("faultline", "faultline_fault_aborted"),
            ("faultline", "faultline_fault_completed"),
            ("faultline", "faultline_zap"),
            ("sched", "sched_switch"),
        ];
        let name = |(system, event): (&str, &str)| Name {
            system: system.into(),
            event: event.into(),
        };
        names.map(name).to_vec()
    }

    fn selected(pattern: &str) -> Vec<String> {
        let names = select(&there(), &[pattern.to_owned()]);
        names.unwrap().into_iter().map(|name| name.event).collect()
    }

    #[test]
    fn the_module_is_meant_without_a_system() {
        assert_eq!(selected("fault_*").len(), 2);
        assert_eq!(selected("faultline_zap"), ["faultline_zap"]);
        assert_eq!(selected("z?p"), ["faultline_zap"]);
        assert_eq!(selected("faultline:*").len(), 3);
        assert_eq!(selected("sched:*"), ["sched_switch"]);
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_there_is() {
        for pattern in ["sched_switch", "nonsense:*", "fault"] {
            let error = select(&there(), &["zap".into(), pattern.into()]).unwrap_err();
            assert!(error.0.contains("faultline_zap"), "{error}");
        }
        let error = select(&there()[3..], &["zap".into()]).unwrap_err();
        assert!(error.0.contains("loaded"), "{error}");
    }

    #[test]
    fn a_filter_has_an_event_and_an_expression() {
        let there = there();
        let (events, expression) = filter(&there, "fault_aborted:cause == 3").unwrap();
        assert_eq!((events.len(), expression), (1, "cause == 3"));
        let (events, expression) = filter(&there, "sched:sched_switch:prev_pid == 1").unwrap();
        assert_eq!(
            (events[0].event.as_str(), expression),
            ("sched_switch", "prev_pid == 1")
        );
        let (_, expression) = filter(&there, "zap:comm ~ \"a:b\"").unwrap();
        assert_eq!(expression, "comm ~ \"a:b\"");
        for wrong in ["zap", "zap:", "nothing:pages > 1", ":x"] {
            assert!(filter(&there, wrong).is_err(), "{wrong}");
        }
    }
}
