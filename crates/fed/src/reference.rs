//! What is generated from the definitions of the commands: completions, manual pages and the command
//! reference.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use downcity_server::FailureKind;

use crate::args::Args;
use crate::failure::Failure;
use crate::output::print;
use crate::shapes::{self, Shape};

const HEAD: &str = "\
# Commands

Every command of `fed`, generated from its definitions by `scripts/generate`.

Data goes to standard output, everything else to standard error. `--json` prints what the server answered, so its
shape is that of the route in [openapi.json](openapi.json), which each command names here; commands that work on files
and databases name their own fields. Secrets are typed, or read from a file or from standard
input; they never stand in a command. Tables in a terminal have colours unless `NO_COLOR` is set; `CLICOLOR_FORCE=1`
keeps them in a pipe. What ends or removes something asks first: `--yes` answers, `--dry-run` says what
would be sent and sends nothing. `fed call` and `fed query` are for scripts: they send what they are told, and ask
nothing.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | failed; what a check or a test found is broken; a question was answered with no |
| 2 | the command or its input is wrong; somebody would have to be asked, and nobody is there |
| 3 | not found |
| 4 | not allowed: no key, a wrong one, or a file that must not be read |
| 5 | conflict: it is there already, in use, or in a state that does not allow this |
| 6 | the server or the database is not reached |
";

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "fed", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}

/// Writes a manual page for each command into a folder.
pub(crate) fn manual(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(built(), folder))
        .map_err(|error| {
            let message = format!("{} cannot be written: {error}.", folder.display());
            Failure::new(FailureKind::NotAllowed, message)
        })?;
    print(&format!("{}\n", folder.join("fed.1").display()))
}

/// Prints the command reference as Markdown.
pub(crate) fn markdown() -> Result<(), Failure> {
    print(&text())
}

/// The command reference as Markdown.
pub(crate) fn text() -> String {
    let root = built();
    let mut text = HEAD.to_owned();
    let global: Vec<&Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).collect();
    text.push_str("\n## Options of all commands\n\n");
    arguments(&mut text, global.into_iter());
    for noun in visible(&root) {
        let _ = write!(text, "\n## fed {}\n", noun.get_name());
        command(&mut text, noun, noun.get_name());
        for verb in visible(noun) {
            let _ = write!(text, "\n### fed {} {}\n", noun.get_name(), verb.get_name());
            command(&mut text, verb, &format!("{} {}", noun.get_name(), verb.get_name()));
        }
    }
    text
}

fn built() -> Command {
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    root
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// What one command does and takes.
fn command(text: &mut String, command: &Command, name: &str) {
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = write!(text, "\n{}\n", plain(&about.to_string()));
    }
    if visible(command).next().is_some() {
        return;
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
    let _ = write!(text, "\n```text\n{}\n```\n", usage.trim());
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help")
        .collect();
    if !own.is_empty() {
        text.push('\n');
        arguments(text, own.into_iter());
    }
    if let Some(line) = shapes::of(name).and_then(Shape::line) {
        let _ = write!(text, "\n{line}\n");
    }
    if let Some(more) = command.get_after_help() {
        let _ = write!(text, "\n```text\n{}\n```\n", more.to_string().trim_end());
    }
}

/// A table of options.
fn arguments<'a>(text: &mut String, all: impl Iterator<Item = &'a Arg>) {
    text.push_str("| Option | Meaning |\n|---|---|\n");
    for arg in all {
        let help = arg.get_long_help().or_else(|| arg.get_help());
        let help = help.map(|help| plain(&help.to_string())).unwrap_or_default();
        let _ = writeln!(text, "| `{}` | {} |", name(arg).replace('|', "\\|"), help);
    }
}

/// How an option is written, such as `--limit <N>`.
fn name(arg: &Arg) -> String {
    let value = arg.get_action().takes_values().then(|| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
    });
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    let flag: Vec<String> = [short, long].into_iter().flatten().collect();
    let parts = [flag.join(", "), value.unwrap_or_default()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// One line that Markdown shows as it is.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "\\<").replace('*', "\\*")
}
