//! The command line: parses arguments into a configuration, and runs the small commands.

mod admin;
mod advice;
mod build;
mod callbacks;
mod client;
mod compile;
mod component;
mod connect;
mod ctl;
mod dev;
mod failure;
mod flags;
mod hangup;
mod inspect;
mod logging;
mod new;
mod options;
mod output;
mod ping;
mod privileges;
mod project;
mod record;
mod replay;
mod runtime;
mod serve;
mod service_manager;
mod start;
mod test;
mod values;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::failure::USAGE;
use self::hangup::Hangup;
use self::output::say_error;
use wsrun_contract::name_settings;
use wsrun_metrics::text::Line;
use wsrun_wasm::compile::COMMAND;

/// A WebSocket runtime: serves a sandboxed WebAssembly handler.
#[derive(Debug, Parser)]
#[command(
    name = "wsrun",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "EXAMPLES:\n  wsrun echo.wasm\n  wsrun --protocol chat=chat.wasm --static page --listen 0.0.0.0:8080\n  \
                  wsrun echo.wasm --tls-cert cert.pem --tls-key key.pem\n  wsrun inspect echo.wasm\n  wsrun connect ws://127.0.0.1:9000\n  wsrun connect client.wasm ws://127.0.0.1:9000\n  wsrun ping ws://127.0.0.1:9000\n  \
                  wsrun new hello --lang rust; cd hello; wsrun dev\n  wsrun --stdio program.wasm\n  wsrun chat.wasm --record tape.jsonl\n  wsrun replay tape.jsonl chat.wasm\n\n\
                  EXIT CODES:\n  0  stopped by SIGTERM or SIGINT, every connection closed\n  \
                  1  an address that cannot be listened on, a failure while running, or connections still open at the end of\n     \
                  --shutdown-timeout or at a second signal\n  \
                  2  wrong arguments, or a file that is not a handler"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows what a handler exports, imports and needs
    Inspect {
        /// The component (.wasm, or .wat text)
        file: PathBuf,
    },
    /// Asks something of a running server: status, metrics, a new version of a handler, or an end
    Ctl(ctl::Args),
    /// Talks to a WebSocket server: lines of standard input go out and messages come in, or a handler does the talking
    #[command(visible_alias = "client")]
    Connect(Box<connect::Args>),
    /// Runs a handler over a tape of --record, without a network, and shows the first effect that differs
    Replay(replay::Args),
    /// Makes a project: a handler in one of several languages, with a test
    New(new::Args),
    /// Builds the project in a folder with its own toolchain
    Build(build::Args),
    /// Builds the project in a folder, serves it, and replaces the running handler when a source changes; connections stay
    Dev(Box<dev::Args>),
    /// Runs scenarios of events and expected effects on a handler, without a network and in virtual time
    Test(test::Args),
    /// Makes a handler of a core module, as the compilers of C, C++, Zig and Go write it
    Component(component::Args),
    /// Measures round trips to a WebSocket server with pings
    Ping(Box<ping::Args>),
    /// Compiles a component from standard input into the cache, within limits: what a server starts to compile a handler
    #[command(name = COMMAND, hide = true)]
    Compile(compile::Args),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    name_settings(flags::flag);
    // SIGHUP must not end a server, from its first moment. Reading the arguments may take a while,
    // since values may be in files.
    let hangup = Hangup::hold();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        // Prints the help or the version.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            match advice::of_command_line(&error, &arguments, &commands()) {
                Some(text) => say_error(&format!("error: {}", Line(text))),
                None => say_error(advice::shown(error).trim_end()),
            }
            return ExitCode::from(USAGE);
        }
    };
    if cli.command.is_some() {
        hangup.release();
    }
    let result = match cli.command {
        None => serve::run(cli.serve, hangup),
        Some(Command::Inspect { file }) => inspect::run(&file),
        Some(Command::Ctl(args)) => ctl::run(args),
        Some(Command::Connect(args)) => connect::run(*args),
        Some(Command::Ping(args)) => ping::run(&args),
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::New(args)) => new::run(args),
        Some(Command::Build(args)) => build::run(&args),
        Some(Command::Dev(args)) => dev::run(*args),
        Some(Command::Test(args)) => test::run(&args),
        Some(Command::Component(args)) => component::run(args),
        Some(Command::Compile(args)) => Ok(compile::run(args)),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "wsrun", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        let hint = failure
            .missing
            .map(|file| advice::of_missing_file(&file, &commands()));
        say_error(&format!(
            "error: {:#}{}",
            failure.error,
            hint.unwrap_or_default()
        ));
        ExitCode::from(failure.code)
    })
}

/// Returns the names of the visible commands.
fn commands() -> Vec<String> {
    let cli = Cli::command();
    let shown = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    shown.map(|command| command.get_name().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_that_names_a_setting_exists() {
        let cli = Cli::command();
        let commands = cli.get_subcommands().chain([&cli]);
        let known: Vec<_> = commands
            .flat_map(|command| command.get_arguments().filter_map(clap::Arg::get_long))
            .collect();
        for flag in flags::all() {
            let name = flag.trim_start_matches("--");
            assert!(known.contains(&name), "{flag}");
        }
    }
}
