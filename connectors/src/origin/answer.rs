//! The body of an answer, on its way from the origin to the caller.
//!
//! A task reads it and waits for the caller, piece by piece. So a caller that takes nothing holds a call no longer than
//! its time limit, whether or not anybody asks this body for its next piece.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::Response;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{Instant, timeout_at};

use super::calls::Call;
use super::error::OriginError;
use crate::events;

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody {
    pieces: Receiver<Piece>,
    /// The bytes that are still to come, if the origin has said so.
    left: Option<u64>,
    is_whole: bool,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    /// Without it, the body was cut off.
    End,
}

/// The body as the origin sends it.
pub(super) struct Source {
    pub(super) response: Response,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) pause: Duration,
    pub(super) limit: u64,
    pub(super) read: u64,
    /// Held until the body has ended.
    #[expect(dead_code, reason = "its drop frees the place of the call")]
    pub(super) call: Call,
}

impl AnswerBody {
    /// Waits for the first piece, so that an error before it is still an answer of its own. `length` is what the origin
    /// says.
    pub(super) async fn start(mut source: Source, length: Option<u64>, origin: &str) -> Result<Self, OriginError> {
        let first = source.next().await?;
        let (sender, pieces) = mpsc::channel(1);
        let origin = origin.to_owned();
        tokio::spawn(async move {
            if let Err(error) = source.pass_on(first, &sender).await {
                events::answer_cut_off(&origin, &error);
            }
        });
        Ok(Self { pieces, left: length, is_whole: false })
    }
}

impl Source {
    async fn next(&mut self) -> Result<Option<Bytes>, OriginError> {
        let pause = Instant::now() + self.pause;
        let piece = timeout_at(pause.min(self.deadline), self.response.chunk()).await;
        let is_pause = pause < self.deadline;
        let slow = || if is_pause { OriginError::Paused(self.pause) } else { OriginError::TooSlow(self.timeout) };
        let piece = piece.map_err(|_| slow())?.map_err(OriginError::of_body)?;
        self.read = self.read.saturating_add(piece.as_ref().map_or(0, |piece| piece.len() as u64));
        if self.read > self.limit { Err(OriginError::TooLarge(self.limit)) } else { Ok(piece) }
    }

    /// Passes the pieces on, until the end, an error, or a caller that has gone away.
    async fn pass_on(&mut self, first: Option<Bytes>, pieces: &Sender<Piece>) -> Result<(), OriginError> {
        let mut next = first;
        loop {
            let is_last = next.is_none();
            let sending = pieces.send(next.map_or(Piece::End, Piece::Data));
            let sent = timeout_at(self.deadline, sending).await.map_err(|_| OriginError::NotTaken(self.timeout))?;
            if sent.is_err() || is_last {
                return Ok(());
            }
            next = tokio::select! {
                () = pieces.closed() => return Ok(()),
                next = self.next() => next?,
            };
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Piece::Data(data)) => {
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Ok(Frame::data(data)))
            }
            Some(Piece::End) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(OriginError::CutOff)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
