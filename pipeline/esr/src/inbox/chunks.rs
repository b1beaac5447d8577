//! The records that bring a file into the log: its arrival, then its content in chunks of whole lines.

use crate::format::{Envelope, Line, split_padding};
use crate::topics;
use tributary_runtime::Output;
use tributary_schemas::records::esr::{FileArrived, FileChunk};
use tributary_schemas::{Codec, EncodeError};

use super::FoundFile;

/// Most bytes of a chunk. The usual limit of a broker for one record is higher.
const CHUNK_BYTES: usize = 512 * 1024;

/// A single line of up to this length is sent uncut.
const LONGEST_LINE_BYTES: usize = 600 * 1024;

/// A longer line is cut to this length. The cut line is still longer than the built-in limit of a line, so the parser
/// rejects it.
const CUT_LINE_BYTES: usize = 16 * 1024;

/// Adds the record of the arrival of a file to `output`.
///
/// # Errors
/// [`EncodeError`] if the record is not declared on the topic.
pub(super) fn write_arrival(
    file: &FoundFile,
    content: &[u8],
    sha256: &str,
    codec: &Codec,
    output: &mut Output,
) -> Result<(), EncodeError> {
    let mut value = Vec::new();
    codec.encode(&arrival(file, sha256, content), &mut value)?;
    send(output, &file.name.to_string(), &value);
    Ok(())
}

/// Adds the content of a file to `output`, without the padding after its trailer (D110).
///
/// # Errors
/// As [`write_arrival`].
pub(super) fn write_content(
    file: &FoundFile,
    content: &[u8],
    sha256: &str,
    codec: &Codec,
    output: &mut Output,
) -> Result<(), EncodeError> {
    let key = file.name.to_string();
    let mut value = Vec::new();
    for (index, chunk) in chunks(split_padding(content).0).enumerate() {
        let record = FileChunk {
            file_name: file.name,
            sha256: sha256.to_owned(),
            index: index as i32,
            last: chunk.last,
            first_line_number: chunk.first_line as i32,
            content: chunk.content,
        };
        value.clear();
        codec.encode(&record, &mut value)?;
        send(output, &key, &value);
    }
    Ok(())
}

fn send(output: &mut Output, key: &str, value: &[u8]) {
    output.send(&topics::INBOUND, key.as_bytes(), |buffer| buffer.extend_from_slice(value));
}

fn arrival(file: &FoundFile, sha256: &str, content: &[u8]) -> FileArrived {
    let (content, padding) = split_padding(content);
    let envelope = Envelope::of(content);
    let bytes = |line: Option<Line<'_>>| line.map_or_else(Vec::new, |line| cut(line.bytes).to_vec());
    FileArrived {
        file_name: file.name,
        sha256: sha256.to_owned(),
        size: file.print.size as i64,
        modified: file.print.modified,
        lines: envelope.non_blank as i32,
        first_line: bytes(envelope.first),
        last_line: bytes(envelope.last),
        inode: file.print.inode,
        changed: file.print.changed,
        misplaced_line: envelope.misplaced.map(|line| line as i32),
        padding: (padding > 0).then_some(padding as i32),
    }
}

fn cut(line: &[u8]) -> &[u8] {
    if line.len() > LONGEST_LINE_BYTES { &line[..CUT_LINE_BYTES] } else { line }
}

struct Chunk {
    first_line: u64,
    last: bool,
    content: Vec<u8>,
}

/// Chunks of whole lines. An empty file is one empty chunk.
fn chunks(content: &[u8]) -> impl Iterator<Item = Chunk> + '_ {
    let (mut start, mut line, mut ended) = (0, 1_u64, false);
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let end = chunk_end(content, start);
        let run = &content[start..end];
        let first_line = line;
        line += run.split(|byte| *byte == b'\n').count() as u64 - 1;
        start = end;
        ended = end == content.len();
        let content = if run.len() > LONGEST_LINE_BYTES { [cut(run), b"\n"].concat() } else { run.to_vec() };
        Some(Chunk { first_line, last: ended, content })
    })
}

/// The end of the chunk that starts at `start`: after the last line that fits, or after a single line that is too long.
fn chunk_end(content: &[u8], start: usize) -> usize {
    let window_end = start + CHUNK_BYTES;
    if window_end >= content.len() {
        return content.len();
    }
    if let Some(last) = content[start..window_end].iter().rposition(|byte| *byte == b'\n') {
        return start + last + 1;
    }
    let rest = content[window_end..].iter().position(|byte| *byte == b'\n');
    rest.map_or(content.len(), |offset| window_end + offset + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(content: &[u8]) -> (Vec<u8>, Vec<u64>, Vec<bool>) {
        let chunks: Vec<_> = chunks(content).collect();
        let whole = chunks.iter().flat_map(|chunk| chunk.content.clone()).collect();
        let lines = chunks.iter().map(|chunk| chunk.first_line).collect();
        (whole, lines, chunks.iter().map(|chunk| chunk.last).collect())
    }

    #[test]
    fn chunks_hold_whole_lines_and_give_the_file_when_joined() {
        let content: Vec<u8> = (0..60_000).flat_map(|line| format!("POS,{line},\"x\"\r\n").into_bytes()).collect();
        let (whole, lines, last) = joined(&content);
        assert_eq!(whole, content);
        assert!(lines.len() > 1 && lines[0] == 1);
        assert_eq!(last.iter().filter(|last| **last).count(), 1);
        for chunk in chunks(&content) {
            assert!(chunk.content.len() <= CHUNK_BYTES && chunk.content.ends_with(b"\n"));
            let first = String::from_utf8(chunk.content).unwrap();
            assert!(first.starts_with(&format!("POS,{},", chunk.first_line - 1)));
        }
    }

    #[test]
    fn an_empty_file_is_one_empty_chunk() {
        assert_eq!(joined(b""), (Vec::new(), vec![1], vec![true]));
    }

    #[test]
    fn d4_an_endless_line_is_cut_and_the_lines_after_it_keep_their_numbers() {
        let mut content = b"HDR\n".to_vec();
        content.extend(vec![b'x'; 2 * LONGEST_LINE_BYTES]);
        content.extend_from_slice(b"\nTRL,3\n");
        let chunks: Vec<_> = chunks(&content).collect();
        assert_eq!(chunks.iter().map(|chunk| chunk.first_line).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(chunks[1].content.len(), CUT_LINE_BYTES + 1);
        assert_eq!(chunks[2].content, b"TRL,3\n");
    }

    #[test]
    fn a_long_line_below_the_limit_goes_whole() {
        let content = [vec![b'x'; CHUNK_BYTES + 1000], b"\n".to_vec()].concat();
        assert_eq!(joined(&content).0, content);
    }
}
