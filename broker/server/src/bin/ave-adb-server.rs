//! `ave-adb-server`: see [`ave_broker::adb_server`].

fn main() -> std::process::ExitCode {
    ave_broker::adb_server::run(std::env::args_os()).into()
}
