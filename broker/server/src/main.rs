//! `ave-broker`: see [`ave_broker::cli`].

fn main() -> std::process::ExitCode {
    ave_broker::cli::run(std::env::args_os()).into()
}
