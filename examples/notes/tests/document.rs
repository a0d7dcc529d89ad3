//! The guide for service authors quotes this example and nothing else.

#![cfg(test)]

const GUIDE: &str = include_str!("../../../docs/service-authors.md");

const SOURCES: [&str; 5] = [
    include_str!("../src/lib.rs"),
    include_str!("../src/main.rs"),
    include_str!("../migrations/0001_notes.sql"),
    include_str!("notes.rs"),
    include_str!("jobs.rs"),
];

/// The text without leading spaces: the guide shows parts at the margin.
fn dedent(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", line.trim_start())).collect()
}

#[test]
fn every_quoted_block_stands_in_the_example() {
    let sources = SOURCES.map(dedent);
    let mut quoted = 0;
    for block in GUIDE.split("\n```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').unwrap();
        if !["rust", "sql"].contains(&language) {
            continue;
        }
        let code = dedent(code);
        assert!(sources.iter().any(|source| source.contains(&code)), "not in the example:\n{code}");
        quoted += 1;
    }
    assert!(quoted > 5, "the guide quotes the example");
}
