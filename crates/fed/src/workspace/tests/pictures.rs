//! The pictures of the documents: screens of this program, drawn as SVG.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crossterm::event::KeyCode;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::{Session, fixtures};

/// Set to write the pictures in place of comparing them.
const WRITE: &str = "DOWNCITY_WRITE_PICTURES";
/// How large a letter is, in units of the picture.
const LETTER: (usize, usize) = (9, 19);
/// Around the screen.
const EDGE: usize = 12;
const INK: &str = "#d5d9e0";
const PAPER: &str = "#1d2129";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures")
}

/// The screens of the documents, by name.
fn pictures() -> Vec<(&'static str, Buffer)> {
    let mut all = Vec::new();
    fixtures::with_nothing(|| all.push(("overview-new", Session::start().buffer(90, 26))));
    all.push(("overview", Session::start().buffer(100, 26)));
    all.push(("env", Session::in_section("Env").buffer(100, 16)));
    let mut missing = Session::in_section("Models");
    missing.press(KeyCode::End).type_text("s");
    all.push(("models-missing", missing.buffer(100, 20)));
    let mut token = Session::in_section("Cities");
    token.type_text("tann").enter().enter();
    all.push(("token", token.buffer(100, 22)));
    let mut remove = Session::in_section("Cities");
    remove.type_text("xNot");
    all.push(("city-remove", remove.buffer(100, 18)));
    let mut compose = Session::in_section("Debugger");
    compose.type_text("/balance/add").enter().type_text("c");
    all.push(("debugger", compose.buffer(100, 24)));
    let mut search = Session::start();
    search.type_text("/ann");
    all.push(("search", search.buffer(100, 24)));
    all.push(("cities-wide", Session::in_section("Cities").buffer(150, 20)));
    all
}

/// What a letter looks like: its colour, what is behind it, whether it is bold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    ink: &'static str,
    paper: &'static str,
    is_bold: bool,
    is_faint: bool,
}

fn look(cell: &Cell) -> Look {
    let ink = match cell.fg {
        Color::Green => "#8fc27f",
        Color::Red => "#e06c75",
        Color::Yellow => "#e5c07b",
        Color::Cyan => "#61c0d0",
        _ => INK,
    };
    let is_reversed = cell.modifier.contains(Modifier::REVERSED);
    let (ink, paper) = if is_reversed { (PAPER, ink) } else { (ink, PAPER) };
    Look {
        ink,
        paper,
        is_bold: cell.modifier.contains(Modifier::BOLD),
        is_faint: cell.modifier.contains(Modifier::DIM),
    }
}

fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * LETTER.0 + 2 * EDGE, rows * LETTER.1 + 2 * EDGE);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"15\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for (row, cells) in buffer.content.chunks(columns).enumerate() {
        let mut column = 0;
        for run in cells.chunk_by(|one, next| look(one) == look(next)) {
            let text: String = run.iter().map(Cell::symbol).collect();
            write_run(&mut svg, look(&run[0]), &text, column, row);
            column += run.len();
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Letters that look the same, beside each other.
fn write_run(svg: &mut String, look: Look, text: &str, column: usize, row: usize) {
    let (x, y) = (EDGE + column * LETTER.0, EDGE + row * LETTER.1);
    let width = text.chars().count() * LETTER.0;
    if look.paper != PAPER {
        let (height, paper) = (LETTER.1, look.paper);
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{paper}\"/>"
        )
        .unwrap();
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if look.is_bold { " font-weight=\"bold\"" } else { "" };
    let opacity = if look.is_faint { " opacity=\"0.65\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // The width is told, so that every font puts the columns where they belong.
    writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" fill=\"{}\" textLength=\"{width}\" xml:space=\"preserve\"{weight}{opacity}>{text}</text>",
        y + 14,
        look.ink,
    )
    .unwrap();
}

#[test]
fn the_pictures_of_the_documents_are_what_the_program_draws() {
    let folder = folder();
    let writes = std::env::var_os(WRITE).is_some();
    if writes {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut names = Vec::new();
    for (name, buffer) in pictures() {
        let (path, drawn) = (folder.join(format!("{name}.svg")), svg(&buffer));
        if writes {
            std::fs::write(&path, &drawn).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == drawn, "{} is another picture: run scripts/generate", path.display());
        names.push(format!("{name}.svg"));
    }
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "no screen is drawn for docs/pictures/{name}");
    }
}
