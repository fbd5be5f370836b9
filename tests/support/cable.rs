//! A cable to a broker: what connects here is connected to there, until somebody cuts it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::wait_until;

/// For this long nothing may pass before a cable counts as quiet. Many times the interval at which brokers
/// report changes.
const QUIET: Duration = Duration::from_millis(500);

/// Listens on a port of its own.
pub(crate) struct Cable {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    is_cut: AtomicBool,
    is_gone: AtomicBool,
    tried: AtomicUsize,
    bytes: AtomicU64,
    strands: Mutex<Vec<Strand>>,
}

/// One connection.
struct Strand {
    near: TcpStream,
    far: TcpStream,
    is_frozen: Arc<AtomicBool>,
}

impl Cable {
    /// A cable to this address.
    pub(crate) fn to(target: SocketAddr) -> Cable {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            target,
            is_cut: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            tried: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            strands: Mutex::default(),
        });
        let lay = shared.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if lay.is_gone.load(Ordering::SeqCst) {
                    break;
                }
                lay.tried.fetch_add(1, Ordering::SeqCst);
                lay.connect(near);
            }
        });
        Cable { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection. New ones are accepted and closed at once.
    pub(crate) fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        self.shared.drop_strands(|_| true);
    }

    /// Lets new connections through.
    pub(crate) fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// Nothing passes over the present connections any more, and none of them ends.
    pub(crate) fn freeze(&self) {
        for strand in self.shared.strands.lock().expect("no panic").iter() {
            strand.is_frozen.store(true, Ordering::SeqCst);
        }
    }

    /// Ends the connections that are frozen.
    pub(crate) fn break_frozen(&self) {
        self.shared.drop_strands(|strand| strand.is_frozen.load(Ordering::SeqCst));
    }

    /// How many connections were tried so far.
    pub(crate) fn tried(&self) -> usize {
        self.shared.tried.load(Ordering::SeqCst)
    }

    /// How many bytes have passed so far, in both directions.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    /// Waits until nothing passes any more.
    pub(crate) fn wait_quiet(&self) {
        let mut last = (self.bytes(), Instant::now());
        wait_until("the cable is quiet", || {
            if self.bytes() != last.0 {
                last = (self.bytes(), Instant::now());
            }
            last.1.elapsed() > QUIET
        });
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.is_gone.store(true, Ordering::SeqCst);
        self.cut();
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connect(self: &Arc<Shared>, near: TcpStream) {
        let mut strands = self.strands.lock().expect("no panic");
        if self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(self.target) else { return };
        let is_frozen = Arc::new(AtomicBool::new(false));
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (shared, is_frozen) = (self.clone(), is_frozen.clone());
            let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
            thread::spawn(move || shared.pump(from, to, &is_frozen));
        }
        strands.push(Strand { near, far, is_frozen });
    }

    /// Passes bytes on, until the connection ends or is frozen.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, is_frozen: &AtomicBool) {
        let _ = to.set_nodelay(true);
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if is_frozen.load(Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
            self.bytes.fetch_add(count as u64, Ordering::SeqCst);
        }
        if !is_frozen.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        }
    }

    fn drop_strands(&self, which: impl Fn(&Strand) -> bool) {
        self.strands.lock().expect("no panic").retain(|strand| {
            let ends = which(strand);
            if ends {
                let _ = strand.near.shutdown(Shutdown::Both);
                let _ = strand.far.shutdown(Shutdown::Both);
            }
            !ends
        });
    }
}
