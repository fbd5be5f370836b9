//! Simulated equipment from the command line. Says in one line of JSON what there is, obeys what it reads, and
//! ends with its input or by a signal, leaving nothing.

use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, bail};
use ave_simulated::{AdbServer, Bench, Board, Phone, PhoneBuilder, UsbDevice, UsbTree};
use clap::Parser;
use serde_json::{Value, json};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Equipment without hardware.
#[derive(Parser)]
#[command(name = "ave-simulated", version)]
enum Command {
    /// One phone. Obeys `plug`, `unplug`, `drop` (the link) and `reboot`.
    Phone(PhoneOptions),
    /// One relay board in a USB tree. Obeys `plug` and `unplug`.
    Board {
        /// The folder of the tree: the broker's `usb_devices` is `devices` in it, its `device_nodes` is `nodes`.
        #[arg(long)]
        tree: PathBuf,
        /// The board's serial number.
        #[arg(long, default_value = "00099001")]
        serial: String,
    },
    /// An adb server of its own, and phones that hang on the relays of one board: relay n is the USB supply of
    /// phone n.
    Bench {
        /// The folder of the USB tree.
        #[arg(long)]
        tree: PathBuf,
        /// How many phones.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
        phones: u8,
        /// The board's serial number.
        #[arg(long, default_value = "00099001")]
        serial: String,
    },
    /// An adb server of its own, and many phones without a board.
    Phones {
        /// How many.
        #[arg(long)]
        count: usize,
    },
}

#[derive(Parser)]
struct PhoneOptions {
    /// The port of loopback on which it listens; 0 is a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A property, `name=value`.
    #[arg(long)]
    property: Vec<String>,
    /// The port of the adb server to attach it to.
    #[arg(long)]
    connect: Option<u16>,
    /// With the feature `shell_v2`.
    #[arg(long)]
    shell_v2: bool,
    /// With the feature `cmd`.
    #[arg(long)]
    cmd: bool,
}

fn main() -> Result<()> {
    let command = Command::parse();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        Command::Phone(options) => {
            let phone = phone(&options)?.start().context("the phone does not start")?;
            say(&about(&phone));
            runtime.block_on(obey(|order| {
                match order {
                    "plug" => phone.plug(),
                    "unplug" => phone.unplug(),
                    "drop" => phone.drop_link(),
                    "reboot" => phone.reboot(),
                    other => bail!("no such order: {other}"),
                }
                Ok(())
            }))
        }
        Command::Board { tree, serial } => {
            let tree = UsbTree::new(&tree)?;
            let mut board = Board::new()?;
            plug(&tree, &board, &serial)?;
            say(
                &json!({"serial": serial, "tty": board.tty(), "usb_devices": tree.devices(), "device_nodes": tree.nodes()}),
            );
            runtime.block_on(obey(|order| match order {
                "plug" => {
                    board.plug()?;
                    plug(&tree, &board, &serial)
                }
                "unplug" => {
                    tree.unplug(BOARD_PLACE)?;
                    board.unplug();
                    Ok(())
                }
                other => bail!("no such order: {other}"),
            }))?;
            Ok(tree.unplug(BOARD_PLACE)?)
        }
        Command::Bench { tree, phones, serial } => {
            let (tree, server) = (UsbTree::new(&tree)?, AdbServer::start()?);
            let phones =
                (1..=phones).map(|n| Phone::builder().property("ro.product.model", &format!("FAKE{n}")));
            let bench = Bench::new(&tree, server.address(), &serial, phones.collect())?;
            say(&json!({
                "adb_port": server.address().port(),
                "phones": bench.phones.iter().map(|phone| about(phone)).collect::<Vec<_>>(),
                "board": serial,
                "usb_devices": tree.devices(),
                "device_nodes": tree.nodes(),
            }));
            runtime.block_on(obey(|order| bail!("no such order: {order}")))
        }
        Command::Phones { count } => {
            let server = AdbServer::start()?;
            let phones = (0..count).map(|_| Phone::builder().attach_to(server.address()).start());
            let phones = phones.collect::<io::Result<Vec<_>>>()?;
            say(&json!({
                "adb_port": server.address().port(),
                "phones": phones.iter().map(about).collect::<Vec<_>>(),
            }));
            runtime.block_on(obey(|order| bail!("no such order: {order}")))
        }
    }
}

const BOARD_PLACE: &str = "1-1";

fn phone(options: &PhoneOptions) -> Result<PhoneBuilder> {
    let mut phone = Phone::builder().port(options.port);
    for property in &options.property {
        let (name, value) = property.split_once('=').with_context(|| format!("no name=value: {property}"))?;
        phone = phone.property(name, value);
    }
    if options.shell_v2 {
        phone = phone.shell_v2();
    }
    if options.cmd {
        phone = phone.cmd();
    }
    Ok(match options.connect {
        Some(port) => phone.attach_to(server(port)),
        None => phone,
    })
}

fn plug(tree: &UsbTree, board: &Board, serial: &str) -> Result<()> {
    let device = UsbDevice {
        vendor: "04d8".to_owned(),
        product: "ffee".to_owned(),
        serial: Some(serial.to_owned()),
        product_name: Some("USB-RLY16L".to_owned()),
        tty: board.tty().map(|tty| ("ttyACM0".to_owned(), tty.to_owned())),
    };
    tree.plug(BOARD_PLACE, &device)?;
    Ok(())
}

fn server(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn about(phone: &Phone) -> Value {
    json!({"serial": phone.serial(), "model": phone.property("ro.product.model"), "root": phone.root()})
}

fn say(line: &Value) {
    println!("{line}");
}

/// Obeys one order a line, until the input or a signal ends it.
async fn obey(mut order: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut lines = input();
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
        };
        match line {
            Some(line) => order(line.trim())?,
            None => return Ok(()),
        }
    }
}

/// The lines of standard input. The thread that reads them ends with the process.
fn input() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
