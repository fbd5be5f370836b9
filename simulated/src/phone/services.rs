//! What a host can ask for when it opens a stream.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::select;
use tokio::time::sleep;

use super::state::State;
use super::stream::{Arrivals, Departures};
use super::{command, sync};

/// What becomes of the phone when a service has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    /// Its adbd starts anew: the link is cut.
    Restart,
    Reboot,
    /// It hangs in a RAM dump until somebody plugs it again.
    Dump,
}

/// How much of a forwarded connection is passed on at once, in bytes.
const PART_BYTES: usize = 64 * 1024;

const GARBAGE: &[u8] = b"\xff\xfe\x00garbage\x80\r\n\xc3(";

/// Whether there is such a service.
pub(super) fn known(service: &str, state: &State) -> bool {
    let (name, _) = service.split_once(':').unwrap_or((service, ""));
    match name {
        "shell" | "exec" => state.get("no_shell").is_none(),
        "sync" | "root" | "unroot" | "remount" | "reboot" | "tcp" | "disable-verity" | "enable-verity" => {
            true
        }
        name => name.starts_with("shell,") && state.get("no_shell").is_none(),
    }
}

/// Answers one request, to its end.
pub(super) async fn serve(
    service: &str,
    state: &State,
    arrivals: Arrivals,
    mut departures: Departures,
) -> io::Result<Then> {
    let (name, argument) = service.split_once(':').unwrap_or((service, ""));
    if let Some(delay_s) = state.get("slow").and_then(|text| text.parse().ok()) {
        sleep(Duration::from_secs_f64(delay_s)).await;
    }
    if state.get("garbage").is_some() {
        departures.send(GARBAGE).await?;
        return Ok(Then::Stay);
    }
    let (text, then) = match name {
        "sync" => return sync::serve(state, arrivals, departures).await.map(|()| Then::Stay),
        "tcp" => return forward(argument, arrivals, departures).await,
        "exec" => return command::exec(argument, state, arrivals, departures).await,
        "shell" => return command::shell(argument, state, arrivals, departures).await,
        name if name.starts_with("shell,") => {
            return command::shell_v2(argument, state, arrivals, departures).await;
        }
        "root" => state.become_root(),
        "remount" => (
            if state.get("no_remount").is_some() { "remount failed\n" } else { "remount succeeded\n" },
            Then::Stay,
        ),
        "disable-verity" => {
            ("Verity disabled on /system\nNow reboot your device for settings to take effect\n", Then::Stay)
        }
        "enable-verity" => {
            ("Verity enabled on /system\nNow reboot your device for settings to take effect\n", Then::Stay)
        }
        _ => ("", Then::Reboot),
    };
    departures.send(text).await?;
    Ok(then)
}

/// Passes bytes on to a port of this host, which stands in for the phone's.
async fn forward(port: &str, mut arrivals: Arrivals, mut departures: Departures) -> io::Result<Then> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (mut reader, mut writer) = socket.split();
    let mut buffer = vec![0; PART_BYTES];
    let there = async {
        while let Some(bytes) = arrivals.next().await {
            writer.write_all(&bytes).await?;
        }
        io::Result::Ok(())
    };
    let back = async {
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return io::Result::Ok(());
            }
            departures.send(buffer[..count].to_vec()).await?;
        }
    };
    select! { ended = there => ended?, ended = back => ended? }
    Ok(Then::Stay)
}
