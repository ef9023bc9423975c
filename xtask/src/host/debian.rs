// SPDX-License-Identifier: GPL-2.0-only
//! Version numbers and package offers of Debian's archive.

/// A package version that the archive has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// "linux-source-7.3".
    pub(crate) package: String,
    /// "7.3.4-1~bpo13+1".
    pub(crate) version: String,
}

impl Offer {
    /// "7.3.4": the version without Debian's revision and repacking marks.
    pub(crate) fn upstream(&self) -> &str {
        let end = self.version.find(['-', '+', '~']);
        &self.version[..end.unwrap_or(self.version.len())]
    }

    /// A name for a directory.
    pub(crate) fn dir_name(&self) -> String {
        let tidy = |c: char| {
            if c.is_ascii_alphanumeric() || ".-+".contains(c) {
                c
            } else {
                '_'
            }
        };
        format!("{}_{}", self.package, self.version)
            .chars()
            .map(tidy)
            .collect()
    }
}

/// The leading dotted numbers of a version.
pub(crate) fn numbers(version: &str) -> Vec<u32> {
    let end = version.find(|c: char| c != '.' && !c.is_ascii_digit());
    version[..end.unwrap_or(version.len())]
        .split('.')
        .map_while(|n| n.parse().ok())
        .collect()
}

/// Reads the table that `apt-cache madison` prints.
pub(crate) fn parse_madison(table: &str) -> Vec<Offer> {
    let row = |line: &str| {
        let mut cells = line.split('|').map(str::trim);
        Some(Offer {
            package: cells.next()?.to_owned(),
            version: cells.next().filter(|v| !v.is_empty())?.to_owned(),
        })
    };
    table.lines().filter_map(row).collect()
}

/// The newest Linux 7.x of the offers, 7.2 or later and not a release candidate.
pub(crate) fn newest_linux(offers: &[Offer]) -> Option<&Offer> {
    let usable = |offer: &&Offer| {
        let version = numbers(offer.upstream());
        (vec![7, 2]..vec![8]).contains(&version) && !offer.version.contains("~rc")
    };
    // `max_by_key` takes the last of equals; apt lists the best one first.
    offers
        .iter()
        .rev()
        .filter(usable)
        .max_by_key(|o| numbers(o.upstream()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADISON: &str = "\
linux-source-7.3 | 7.3.4-1~bpo13+1 | http://deb.debian.org/debian trixie-backports/main amd64 Packages
linux-source-7.2 |   7.2.13-1 | http://deb.debian.org/debian sid/main amd64 Packages
linux-source-7.4 | 7.4~rc2-1~exp1 | http://deb.debian.org/debian experimental/main amd64 Packages
linux-source-8.0 | 8.0.1-1 | http://deb.debian.org/debian sid/main amd64 Packages
linux-source-7.1 | 7.1.20-1 | http://deb.debian.org/debian sid/main amd64 Packages
";

    #[test]
    fn the_newest_7x_release_is_chosen() {
        let offers = parse_madison(MADISON);
        assert_eq!(offers.len(), 5);
        let best = newest_linux(&offers).unwrap();
        assert_eq!(best.version, "7.3.4-1~bpo13+1");
        assert_eq!(best.upstream(), "7.3.4");
    }

    #[test]
    fn point_releases_compare_as_numbers() {
        let offer = |version: &str| Offer {
            package: "linux-source-7.2".into(),
            version: version.into(),
        };
        let offers = [offer("7.2.9-1"), offer("7.2.13-1")];
        assert_eq!(newest_linux(&offers), Some(&offers[1]));
    }

    #[test]
    fn nothing_is_chosen_below_the_range() {
        let old = parse_madison("linux-source-7.1 | 7.1.20-1 | http://x sid/main\n");
        assert_eq!(newest_linux(&old), None);
    }
}
