//! A file of a model, opened: only regular files, without waiting for a device or a pipe, and with a stamp
//! that tells whether its bytes and its name are still what they were.

use crate::error::{Error, Kind, Result};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A regular file that stays open: what is read from it is what its name stood for when it was opened,
/// whoever replaces it meanwhile.
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    file: File,
    stamp: Stamp,
}

/// What changes when somebody writes into a file or puts another one in its place.
#[derive(Clone, Debug, PartialEq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
    /// Device, inode and the time of the inode's last change, which nobody can set.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Stamp {
            bytes: file.len(),
            modified: file.modified().ok(),
            #[cfg(unix)]
            inode: (file.dev(), file.ino(), file.ctime(), file.ctime_nsec()),
        }
    }
}

impl Stamp {
    /// When its inode was changed last.
    #[cfg(unix)]
    fn changed(&self) -> Option<SystemTime> {
        let (_, _, seconds, nanoseconds) = self.inode;
        let since = Duration::new(
            u64::try_from(seconds).ok()?,
            u32::try_from(nanoseconds).ok()?,
        );
        SystemTime::UNIX_EPOCH.checked_add(since)
    }

    /// Elsewhere times can be set by anybody.
    #[cfg(not(unix))]
    fn changed(&self) -> Option<SystemTime> {
        None
    }
}

/// Two changes that are further apart have different times on every file system but FAT.
const CLOCK: Duration = Duration::from_millis(100);

impl OpenFile {
    /// Opens a file.
    ///
    /// # Errors
    /// No such file, none that may be read, no regular file.
    pub fn open(path: &Path) -> Result<Self> {
        // Looked at before it is opened, since opening some devices does something, and after, since the
        // name may stand for another file by then.
        check_regular(
            path,
            &std::fs::metadata(path).map_err(|e| cannot_read(path, &e))?,
        )?;
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
        let file = options.open(path).map_err(|e| cannot_read(path, &e))?;
        let found = file.metadata().map_err(|e| cannot_read(path, &e))?;
        check_regular(path, &found)?;
        Ok(OpenFile {
            path: path.to_path_buf(),
            stamp: Stamp::of(&found),
            file,
        })
    }

    /// The path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.stamp.bytes
    }

    /// Whether its path still names this very file, and nobody has written into it since it was opened.
    pub fn is_as_opened(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|now| Stamp::of(&now) == self.stamp)
    }

    /// Its stamp in words; `None`: it was changed so lately that another change could have the same time, or
    /// the system keeps no such times.
    pub fn identity(&self) -> Option<String> {
        let age = self.stamp.changed()?.elapsed().ok()?;
        (age > CLOCK).then(|| format!("{:?}", self.stamp))
    }

    /// Reads it from its start, however often.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            file: &self.file,
            at: 0,
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// A file above `most` bytes, one that cannot be read, no memory.
    pub fn read(&self, most: u64) -> Result<Vec<u8>> {
        let size = self.bytes();
        if size > most {
            return Err(Error::invalid(format!(
                "{} has {size} bytes, expected at most {most}",
                self.path.display()
            )));
        }
        let mut all = Vec::new();
        all.try_reserve_exact(size as usize).map_err(|_| {
            Error::new(
                Kind::NoMemory,
                format!("no memory for the {size} bytes of {}", self.path.display()),
            )
        })?;
        let read = self.reader().take(size).read_to_end(&mut all);
        read.map_err(|e| cannot_read(&self.path, &e))?;
        Ok(all)
    }

    /// Gives all bytes in pieces, until one is refused.
    ///
    /// # Errors
    /// A file that cannot be read; what `take` gives.
    pub fn pieces(&self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (mut reader, mut piece) = (self.reader(), vec![0; 1 << 20]);
        loop {
            match reader
                .read(&mut piece)
                .map_err(|e| cannot_read(&self.path, &e))?
            {
                0 => return Ok(()),
                n => take(&piece[..n])?,
            }
        }
    }
}

/// Reads an [`OpenFile`] with a place of its own: several may read one file at once.
#[derive(Debug)]
pub struct Reader<'f> {
    file: &'f File,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(self.file, into, self.at)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(self.file, into, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.metadata()?.len().checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn check_regular(path: &Path, found: &Metadata) -> Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = if found.is_dir() {
        "a folder"
    } else {
        "a device, a pipe or a socket"
    };
    Err(Error::invalid(format!(
        "{} is {what}, expected a regular file",
        path.display()
    )))
}

/// The error for a file that the system does not give.
pub fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: {error}", path.display()))
}
