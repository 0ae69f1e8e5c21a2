//! Whether a key is there twice among many, told by 64-bit hashes in bounded memory.
//!
//! Hashes are put apart by their first bits. When too many are in memory, each part goes to the end of one file;
//! at the end the parts are sorted one by one. Equal hashes are a suspicion, which the exact check then settles.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use crate::EngineError;

/// Hashes held in memory: 64 MiB of them.
const IN_MEMORY: usize = 8 * 1024 * 1024;
const PARTS: usize = 256;

/// Hashes of keys.
#[derive(Debug)]
pub(crate) struct KeyHashes {
    parts: Vec<Vec<u64>>,
    held: usize,
    most: usize,
    spilled: Option<Spilled>,
}

#[derive(Debug)]
struct Spilled {
    file: File,
    /// For each part, where in the file pieces of it begin, and how many hashes each holds.
    pieces: Vec<Vec<(u64, usize)>>,
}

impl KeyHashes {
    pub(crate) fn new() -> Self {
        Self::holding(IN_MEMORY)
    }

    fn holding(most: usize) -> Self {
        Self { parts: vec![Vec::new(); PARTS], held: 0, most, spilled: None }
    }

    /// Takes in hashes whose bits are all equally random.
    pub(crate) fn extend(&mut self, hashes: impl Iterator<Item = u64>) -> Result<(), EngineError> {
        for hash in hashes {
            let part = usize::try_from(hash >> 56).unwrap_or_default();
            if let Some(part) = self.parts.get_mut(part) {
                part.push(hash);
                self.held += 1;
            }
        }
        if self.held >= self.most {
            self.spill().map_err(io)?;
        }
        Ok(())
    }

    /// Whether two hashes are equal.
    pub(crate) fn has_repeats(mut self) -> Result<bool, EngineError> {
        let mut spilled = self.spilled.take();
        for (place, mut hashes) in self.parts.into_iter().enumerate() {
            if let Some(spilled) = &mut spilled {
                spilled.read(place, &mut hashes).map_err(io)?;
            }
            hashes.sort_unstable();
            if hashes.windows(2).any(|pair| pair.first() == pair.last()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: tempfile::tempfile()?, pieces: vec![Vec::new(); PARTS] }),
        };
        let mut at = spilled.file.seek(SeekFrom::End(0))?;
        let mut writer = BufWriter::new(&spilled.file);
        for (hashes, pieces) in self.parts.iter_mut().zip(&mut spilled.pieces) {
            pieces.push((at, hashes.len()));
            for hash in hashes.drain(..) {
                writer.write_all(&hash.to_le_bytes())?;
                at += 8;
            }
        }
        self.held = 0;
        writer.flush()
    }
}

impl Spilled {
    fn read(&mut self, part: usize, hashes: &mut Vec<u64>) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        for (at, count) in self.pieces.get(part).into_iter().flatten() {
            bytes.resize(count * 8, 0);
            self.file.seek(SeekFrom::Start(*at))?;
            self.file.read_exact(&mut bytes)?;
            hashes.extend(bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)));
        }
        Ok(())
    }
}

fn io(source: std::io::Error) -> EngineError {
    datafusion::error::DataFusionError::IoError(source).into()
}

#[cfg(test)]
mod tests {
    use super::KeyHashes;

    /// Numbers whose first bits differ, each another one.
    fn spread(numbers: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        numbers.map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    #[test]
    fn tells_of_a_repeat_wherever_its_two_halves_lie() {
        for (first, second) in [(0..1_000, 999..1_001), (0..10, 3..4), (0..5_000, 0..1)] {
            let mut hashes = KeyHashes::holding(64);
            hashes.extend(spread(first.clone())).unwrap();
            hashes.extend(spread(10_000..10_050)).unwrap();
            hashes.extend(spread(second)).unwrap();
            assert!(hashes.has_repeats().unwrap(), "{first:?}");
        }
    }

    #[test]
    fn is_silent_when_all_differ() {
        for most in [16, 1_000, 100_000] {
            let mut hashes = KeyHashes::holding(most);
            for start in (0..20_000).step_by(500) {
                hashes.extend(spread(start..start + 500)).unwrap();
            }
            assert!(!hashes.has_repeats().unwrap(), "{most}");
        }
    }
}
