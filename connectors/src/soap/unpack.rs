//! Unpacks gzip piece by piece, as it comes. No more is unpacked than is taken, so a small body cannot become a huge
//! one.

use std::io::{self, BufRead, ErrorKind, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;

use super::SoapCallError;
use super::answer::{Kept, Space};

/// How many bytes are unpacked at once.
const STEP: usize = 16 * 1024;

/// A body that is being unpacked. It may have several members, one after the other. Other bytes after them are an
/// error.
pub(super) struct Unpacking {
    decoder: MultiGzDecoder<Packed>,
    step: Box<[u8]>,
    taken: usize,
    limit: usize,
}

impl Unpacking {
    pub(super) fn new(limit: usize) -> Self {
        let packed = Packed { bytes: Bytes::new(), is_whole: false };
        Self { decoder: MultiGzDecoder::new(packed), step: vec![0; STEP].into_boxed_slice(), taken: 0, limit }
    }

    /// Unpacks a piece. Its own size counts too: empty members take time and give nothing.
    pub(super) async fn take<S: Space>(&mut self, piece: Bytes, kept: &mut Kept<'_, S>) -> Result<(), SoapCallError> {
        self.taken = self.taken.saturating_add(piece.len());
        if self.taken > self.limit {
            return Err(SoapCallError::TooLarge(self.limit));
        }
        // The piece before has been used up.
        self.decoder.get_mut().bytes = piece;
        self.unpack(kept).await
    }

    /// Unpacks what is left when the body is whole. An empty body is empty.
    pub(super) async fn end<S: Space>(&mut self, kept: &mut Kept<'_, S>) -> Result<(), SoapCallError> {
        if self.taken == 0 {
            return Ok(());
        }
        self.decoder.get_mut().is_whole = true;
        self.unpack(kept).await
    }

    async fn unpack<S: Space>(&mut self, kept: &mut Kept<'_, S>) -> Result<(), SoapCallError> {
        loop {
            match self.decoder.read(&mut self.step) {
                Ok(0) => return Ok(()),
                Ok(count) => kept.push(self.step.get(..count).unwrap_or_default()).await?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(SoapCallError::Packed("the gzip data ends too early"));
                }
                Err(_) => return Err(SoapCallError::Packed("the gzip data is malformed, or other bytes follow it")),
            }
            // To unpack a large body takes a while, and other calls wait for this thread.
            tokio::task::consume_budget().await;
        }
    }
}

/// The packed bytes that have come. The decoder stops at their end, and goes on with the next ones.
struct Packed {
    bytes: Bytes,
    is_whole: bool,
}

impl Read for Packed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Packed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() && !self.is_whole {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(&self.bytes)
    }

    fn consume(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
