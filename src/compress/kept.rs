//! Compressed forms that outlive the process (`--compress-dir`).
//!
//! A file is named by the digest of the content that it was made from, so that it is found again
//! after a deploy to another directory, and never taken for what a file holds no longer, whatever
//! its times say. Its head names that content and the digest of what follows: a file that is cut
//! off, damaged or another's is not used.
//!
//! Everything here blocks. Several threads and several processes may share a directory: files
//! appear whole, by a rename, and the same name always means the same bytes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::{Effort, compress};
use crate::base::limits::COMPRESS_BYTES_MAX;
use crate::http::Coding;

/// What a file begins with; the number changes with the head.
const MAGIC: [u8; 8] = *b"dnpour-1";
/// Magic, digest of the source, digest of what follows.
const HEAD_BYTES: usize = MAGIC.len() + 2 * SHA256_OUTPUT_LEN;
/// What the names of unfinished files begin with.
const UNFINISHED: &str = ".unfinished-";
/// An unfinished file so old belongs to a process that was killed.
const UNFINISHED_FOR: Duration = Duration::from_secs(60 * 60);

/// A directory of compressed forms, of at most so many bytes.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    bytes_max: u64,
    /// What lies there, as far as this process knows.
    bytes: AtomicU64,
    /// Held by who makes room.
    sweeping: Mutex<()>,
    /// The last one could not be put: that was told.
    fails: AtomicBool,
    /// Tells the unfinished files of this process apart.
    number: AtomicU64,
}

impl Kept {
    /// Opens a directory, and makes it when it is missing. Refuses one that other users may write
    /// to: they could have anything served.
    pub fn open(directory: &Path, bytes_max: u64) -> io::Result<Kept> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let found = fs::metadata(directory)?;
        let own = rustix::process::geteuid().as_raw();
        if found.mode() & 0o022 != 0 || (found.uid() != own && found.uid() != 0) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "other users may write to it",
            ));
        }
        let kept = Kept {
            directory: std::path::absolute(directory)?,
            bytes_max,
            bytes: AtomicU64::new(0),
            sweeping: Mutex::new(()),
            fails: AtomicBool::new(false),
            number: AtomicU64::new(0),
        };
        kept.sweep()?;
        Ok(kept)
    }

    /// The smallest form of `source` that is kept, and what effort it is worth.
    pub fn best(&self, coding: Coding, source: &[u8]) -> Option<(Effort, Vec<u8>)> {
        let efforts = [Effort::Best, Effort::Good, Effort::Fast];
        let source_digest = sha256(source);
        efforts.into_iter().find_map(|effort| {
            let coded = self.read(coding, effort, source.len(), &source_digest)?;
            Some((effort, coded))
        })
    }

    /// The form of `source` from the directory, or a new one that is put there. An error of the
    /// disk is told, and costs no more than the time.
    pub fn compress(&self, coding: Coding, effort: Effort, source: &[u8]) -> Option<Vec<u8>> {
        if let Some(kept) = self.get(coding, effort, source) {
            return Some(kept);
        }
        let coded = compress(coding, effort, source)?;
        let put = self.put(coding, effort, source, &coded);
        let failed_before = self.fails.swap(put.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (put, failed_before) {
            let directory = self.directory.display();
            log::warn!("compressed forms cannot be kept in {directory}: {error}");
        }
        Some(coded)
    }

    /// What was kept for this content, if it is whole.
    pub fn get(&self, coding: Coding, effort: Effort, source: &[u8]) -> Option<Vec<u8>> {
        self.read(coding, effort, source.len(), &sha256(source))
    }

    fn read(
        &self,
        coding: Coding,
        effort: Effort,
        source_bytes: usize,
        source_digest: &[u8; SHA256_OUTPUT_LEN],
    ) -> Option<Vec<u8>> {
        let path = self.path(coding, effort, source_digest);
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)
            .ok()?;
        let len = file.metadata().ok()?.len();
        let coded_bytes = len.checked_sub(HEAD_BYTES as u64)?;
        // What is kept is smaller than its source, and so no length is believed.
        if coded_bytes >= source_bytes as u64 {
            return None;
        }
        let mut head = [0; HEAD_BYTES];
        file.read_exact(&mut head).ok()?;
        let mut coded = vec![0; coded_bytes as usize];
        file.read_exact(&mut coded).ok()?;
        if head != head_of(source_digest, &coded) {
            return None;
        }
        // Its time is that of its last use. Where that cannot be written, it only goes too early.
        let _ = file.set_modified(SystemTime::now());
        Some(coded)
    }

    /// Keeps `coded` as this form of `source`.
    pub fn put(
        &self,
        coding: Coding,
        effort: Effort,
        source: &[u8],
        coded: &[u8],
    ) -> io::Result<()> {
        let source_digest = sha256(source);
        let bytes = (HEAD_BYTES + coded.len()) as u64;
        if bytes > self.bytes_max || coded.len() as u64 > COMPRESS_BYTES_MAX {
            return Ok(());
        }
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("{UNFINISHED}{}-{number}", std::process::id());
        let unfinished = self.directory.join(unfinished);
        let written = write_whole(&unfinished, &head_of(&source_digest, coded), coded)
            .and_then(|()| fs::rename(&unfinished, self.path(coding, effort, &source_digest)));
        if let Err(error) = written {
            let _ = fs::remove_file(&unfinished); // It may not even be there.
            return Err(error);
        }
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.bytes_max {
            self.sweep()
        } else {
            Ok(())
        }
    }

    fn path(&self, coding: Coding, effort: Effort, source_digest: &[u8]) -> PathBuf {
        let mut name = String::with_capacity(2 * source_digest.len() + 16);
        for byte in source_digest {
            for digit in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(digit), 16).expect("half a byte"));
            }
        }
        name.push('.');
        name.push_str(effort.name());
        name.push_str(coding.extension());
        self.directory.join(name)
    }

    /// Counts what lies there and removes what was not used for longest, until a tenth is free.
    fn sweep(&self) -> io::Result<()> {
        let Ok(_alone) = self.sweeping.try_lock() else {
            return Ok(()); // Another thread makes room.
        };
        let now = SystemTime::now();
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Ok(found) = entry.metadata() else {
                continue; // Removed by another process.
            };
            let modified = found.modified()?;
            let age = now.duration_since(modified).unwrap_or_default();
            match kind_of(&entry.file_name().to_string_lossy()) {
                Kind::Unfinished if age > UNFINISHED_FOR => {
                    let _ = fs::remove_file(entry.path());
                }
                Kind::Kept if found.is_file() => files.push((modified, found.len(), entry.path())),
                _ => {} // Somebody else's: not counted and not touched.
            }
        }
        let mut bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
        if bytes > self.bytes_max {
            files.sort();
            let mut oldest = files.into_iter();
            while bytes > self.bytes_max / 10 * 9
                && let Some((_, len, path)) = oldest.next()
            {
                if fs::remove_file(path).is_ok() {
                    bytes -= len;
                }
            }
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }
}

enum Kind {
    Kept,
    Unfinished,
    Other,
}

fn kind_of(name: &str) -> Kind {
    let digits = name.bytes().take_while(u8::is_ascii_hexdigit).count();
    if name.starts_with(UNFINISHED) {
        Kind::Unfinished
    } else if digits == 2 * SHA256_OUTPUT_LEN && name.as_bytes().get(digits) == Some(&b'.') {
        Kind::Kept
    } else {
        Kind::Other
    }
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut output = [0; SHA256_OUTPUT_LEN];
    output.copy_from_slice(digest(&SHA256, bytes).as_ref());
    output
}

fn head_of(source_digest: &[u8; SHA256_OUTPUT_LEN], coded: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let (magic, digests) = head.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    digests[..SHA256_OUTPUT_LEN].copy_from_slice(source_digest);
    digests[SHA256_OUTPUT_LEN..].copy_from_slice(&sha256(coded));
    head
}

/// A new file that only its owner may read: it holds what a site may guard.
fn write_whole(path: &Path, head: &[u8], coded: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(head)?;
    file.write_all(coded)
}

#[cfg(test)]
mod tests {
    use super::super::encode::tests::page;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const AMPLE: u64 = 1 << 30;
    const BROTLI: Coding = Coding::Brotli;
    const FAST: Effort = Effort::Fast;

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn what_was_put_is_got_after_a_restart_and_by_its_owner_only() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("made/on/demand");
        let kept = Kept::open(&directory, AMPLE).unwrap();
        let source = page(3000);
        assert_eq!(kept.get(BROTLI, FAST, &source), None);
        let coded = kept.compress(BROTLI, FAST, &source).unwrap();
        drop(kept);
        let kept = Kept::open(&directory, AMPLE).unwrap();
        assert_eq!(kept.get(BROTLI, FAST, &source), Some(coded.clone()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let files = files(&directory);
        assert_eq!((mode(&directory), mode(&files[0])), (0o700, 0o600));
        assert_eq!(files.len(), 1, "no unfinished file is left: {files:?}");
        let bytes = kept.bytes.load(Ordering::Relaxed);
        assert_eq!(bytes, (coded.len() + HEAD_BYTES) as u64);
    }

    #[test]
    fn another_source_coding_or_effort_is_another_file() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let kept = Kept::open(scratch.path(), AMPLE).unwrap();
        let source = page(3000);
        kept.put(BROTLI, FAST, &source, b"coded").unwrap();
        assert_eq!(kept.get(Coding::Gzip, FAST, &source), None);
        assert_eq!(kept.get(BROTLI, Effort::Best, &source), None);
        let fast = Some((FAST, b"coded".to_vec()));
        assert_eq!(kept.best(BROTLI, &source), fast);
        kept.put(BROTLI, Effort::Best, &source, b"smaller").unwrap();
        let best = Some((Effort::Best, b"smaller".to_vec()));
        assert_eq!(kept.best(BROTLI, &source), best);
        let mut other = source.clone();
        other[10] ^= 1; // The same length, and perhaps the same time.
        assert_eq!(kept.get(BROTLI, FAST, &other), None);
        assert_eq!(kept.get(BROTLI, FAST, &source).unwrap(), b"coded");
    }

    #[test]
    fn a_file_that_is_not_what_was_written_is_not_used() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Kept::open(&scratch.path().join("kept"), AMPLE).unwrap();
        let source = page(3000);
        let coded = kept.compress(BROTLI, FAST, &source).unwrap();
        let file = files(&kept.directory).remove(0);
        let whole = fs::read(&file).unwrap();
        let mut grown = whole.clone();
        grown.push(0);
        let bads = [
            whole[..whole.len() - 1].to_vec(),
            whole[..HEAD_BYTES].to_vec(),
            whole[..10].to_vec(),
            Vec::new(),
            grown,
            vec![0; HEAD_BYTES + 2 * source.len()],
        ];
        for bad in bads {
            fs::write(&file, &bad).unwrap();
            assert_eq!(kept.get(BROTLI, FAST, &source), None, "{} bytes", bad.len());
        }
        for place in 0..whole.len() {
            let mut bad = whole.clone();
            bad[place] ^= 0x40;
            fs::write(&file, &bad).unwrap();
            assert_eq!(kept.get(BROTLI, FAST, &source), None, "byte {place}");
        }
        // It is made anew, over the bad one.
        assert_eq!(kept.compress(BROTLI, FAST, &source), Some(coded));
        assert_eq!(fs::read(&file).unwrap(), whole);
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("kept");
        let coded = vec![7; 1000];
        let one = (HEAD_BYTES + coded.len()) as u64;
        let kept = Kept::open(&directory, 10 * one).unwrap();
        let source = |number: usize| [page(2000), number.to_string().into_bytes()].concat();
        let hour = Duration::from_secs(3600);
        for number in 0..10 {
            kept.put(BROTLI, FAST, &source(number), &coded).unwrap();
            let path = kept.path(BROTLI, FAST, &sha256(&source(number)));
            let time = SystemTime::now() - hour * (20 - number as u32);
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        fs::write(directory.join("foreign.txt"), vec![0; 5000]).unwrap();
        // The use of the oldest saves it.
        assert!(kept.get(BROTLI, FAST, &source(0)).is_some());
        kept.put(BROTLI, FAST, &source(10), &coded).unwrap();
        let held = |number| kept.get(BROTLI, FAST, &source(number)).is_some();
        assert_eq!(
            (0..11).filter(|number| held(*number)).collect::<Vec<_>>(),
            [0, 3, 4, 5, 6, 7, 8, 9, 10]
        );
        assert!(directory.join("foreign.txt").exists());
        assert_eq!(kept.bytes.load(Ordering::Relaxed), 9 * one);
        // A smaller bound is kept from the start.
        let smaller = Kept::open(&directory, 2 * one).unwrap();
        assert!(smaller.bytes.load(Ordering::Relaxed) <= 2 * one);
        // What alone is larger than the bound is not kept.
        smaller
            .put(BROTLI, FAST, &page(9000), &vec![1; 5000])
            .unwrap();
        assert_eq!(smaller.get(BROTLI, FAST, &page(9000)), None);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = Kept::open(scratch.path(), AMPLE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        let file = scratch.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(Kept::open(&file, AMPLE).is_err());
    }

    #[test]
    fn what_a_killed_process_left_goes_after_an_hour() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("kept");
        drop(Kept::open(&directory, AMPLE).unwrap());
        let left = directory.join(format!("{UNFINISHED}1-1"));
        fs::write(&left, "x").unwrap();
        drop(Kept::open(&directory, AMPLE).unwrap());
        assert!(left.exists(), "its process may be at work");
        let long_ago = SystemTime::now() - 2 * UNFINISHED_FOR;
        File::options()
            .write(true)
            .open(&left)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        drop(Kept::open(&directory, AMPLE).unwrap());
        assert!(!left.exists());
    }

    #[test]
    fn threads_that_put_and_get_at_once_see_whole_files() {
        let scratch = tempfile::tempdir().unwrap();
        let kept = Kept::open(&scratch.path().join("kept"), 20_000).unwrap();
        let sources: Vec<Vec<u8>> = (2000..2040).map(page).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for source in sources.iter().cycle().take(200) {
                        let expected = compress(BROTLI, FAST, source);
                        assert_eq!(kept.compress(BROTLI, FAST, source), expected);
                    }
                });
            }
        });
        let held: u64 = files(&kept.directory)
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum();
        assert!(held <= 2 * 20_000, "{held}");
    }
}
