//! One granted piece: a task that opens its unit, makes one call at a time, and closes it, whatever
//! happens in between.

use std::sync::Arc;

use ave_core::Granted;
use ave_profile::Refusal;
use ave_protocol::message::{Call, Reply};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::drivers::{Driver, Unit};
use crate::limits::CALLS_WAITING_MAX;

/// A call on its way to a piece. Nobody waits for the answer any more if its receiver is gone.
pub(crate) struct PieceCall {
    /// Boxed, because a channel keeps room for 32 of these from the start.
    pub(crate) call: Box<Call>,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// A session's end of a piece.
pub(crate) struct Piece {
    pub(crate) calls: mpsc::Sender<PieceCall>,
    /// Cancel it to have the piece closed.
    pub(crate) close: CancellationToken,
    /// Cancelled when the hub has been told that the piece is closed.
    pub(crate) closed: CancellationToken,
    /// Why nobody drives it any more, although it was not to be closed yet.
    pub(crate) failed: Option<String>,
}

impl Piece {
    /// A piece, and the task that drives it, whose result is why the piece cannot be lent again.
    ///
    /// `stop` ends the call that is being made without closing the piece yet; `opened` hears how
    /// opening went.
    pub(crate) fn new(
        driver: Arc<dyn Driver>,
        granted: Granted,
        stop: CancellationToken,
        opened: oneshot::Sender<Result<(), Refusal>>,
    ) -> (Piece, impl Future<Output = Result<(), String>> + Send) {
        let (calls, incoming) = mpsc::channel(CALLS_WAITING_MAX);
        let (close, closed) = (CancellationToken::new(), CancellationToken::new());
        let piece = Piece { calls, close, closed, failed: None };
        let close = piece.close.clone();
        let drive = async move {
            let opening = timeout(driver.open_limit(), driver.open(&granted)).await;
            let stuck = opening.is_err();
            let mut unit = opening.unwrap_or_else(|_| Err(Refusal::exception(NEVER_OPENED)));
            let refused =
                unit.as_ref().map_or_else(|refusal| Some(refusal.clone()), |unit| unit.failed_to_open());
            let _ = opened.send(refused.map_or(Ok(()), Err));
            serve(&mut unit, incoming, &stop, &close).await;
            close.cancelled().await;
            match unit {
                Ok(unit) => {
                    timeout(driver.close_limit(), unit.close()).await.unwrap_or(Err(NEVER_CLOSED.to_owned()))
                }
                Err(_) if stuck => Err(NEVER_OPENED.to_owned()),
                Err(_) => Ok(()),
            }
        };
        (piece, drive)
    }
}

/// A unit, or why there is none: then that is the answer to every call.
type OpenUnit = Result<Box<dyn Unit>, Refusal>;

const NEVER_OPENED: &str = "it neither opened nor failed within its time limit";
const NEVER_CLOSED: &str = "it did not close within its time limit";

async fn serve(
    unit: &mut OpenUnit,
    mut incoming: mpsc::Receiver<PieceCall>,
    stop: &CancellationToken,
    close: &CancellationToken,
) {
    let over = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = close.cancelled() => {}
        }
    };
    let calls = async {
        while let Some(PieceCall { call, reply }) = incoming.recv().await {
            let _ = reply.send(answer(unit, *call).await);
        }
    };
    tokio::select! {
        biased;
        () = over => {}
        () = calls => {}
    }
}

/// Makes one call, after the checks that come before it. (Specification 2.3, checks 7 to 11.)
async fn answer(unit: &mut OpenUnit, call: Call) -> Reply {
    let unit = match unit {
        Ok(unit) => unit,
        Err(refusal) => return Reply::Fault(refusal.clone().into()),
    };
    let Some(signature) = unit.methods().iter().find(|method| method.name() == call.method) else {
        let no_driver = unit.no_driver_for(&call.method).filter(|_| !call.method.starts_with('_'));
        return match no_driver {
            Some(refusal) => Reply::Fault(refusal.into()),
            None => Reply::Plain(format!("no such RPC: {}", call.method)),
        };
    };
    let method = call.method.clone();
    let bound = match call.bind(signature) {
        Ok(bound) => bound,
        Err(reply) => return reply,
    };
    match unit.call(&method, bound).await {
        Ok(value) => Reply::Result(value),
        Err(refusal) => Reply::Fault(refusal.into()),
    }
}
