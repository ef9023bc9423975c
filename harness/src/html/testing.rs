// SPDX-License-Identifier: GPL-2.0-only
//! Pages, read as XML by tests.

use roxmltree::{Document, Node, ParsingOptions};

use super::STYLE;

/// The page, which has to be well-formed.
pub(crate) fn parsed(page: &str) -> Document<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(page, options).expect("well-formed XML")
}

/// Elements of that name.
pub(crate) fn named<'a, 'i>(
    doc: &'a Document<'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    doc.descendants()
        .filter(move |node| node.has_tag_name(name))
}

/// All that is written in it.
pub(crate) fn words(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|n| n.text())
        .collect()
}

/// Rows of the table with that caption, cell by cell.
pub(crate) fn table(doc: &Document<'_>, caption: &str) -> Vec<Vec<String>> {
    let of = |table: &Node<'_, '_>| {
        let mut captions = table.children().filter(|n| n.has_tag_name("caption"));
        captions.any(|n| words(n).starts_with(caption))
    };
    let table = named(doc, "table")
        .find(of)
        .unwrap_or_else(|| panic!("no table {caption}"));
    let rows = table.descendants().filter(|n| n.has_tag_name("tr"));
    rows.map(|row| row.children().filter(Node::is_element).map(words).collect())
        .collect()
}

/// Asserts that there is no script, and nothing but what is in the page itself.
pub(crate) fn fetches_nothing(doc: &Document<'_>) {
    for node in doc.descendants().filter(Node::is_element) {
        let name = node.tag_name().name();
        assert!(
            !["script", "link", "img", "iframe", "object", "image", "use"].contains(&name),
            "{name}"
        );
        for attribute in node.attributes() {
            let place = ["href", "src", "srcset", "data", "action"].contains(&attribute.name());
            assert!(
                !place || attribute.value().starts_with('#'),
                "{attribute:?}"
            );
        }
    }
    let style = STYLE.to_lowercase();
    assert!(!style.contains("url(") && !style.contains("@import"));
}
