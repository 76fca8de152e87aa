//! Messages on disk: `000001.eml`, and an empty `000001.read` beside it once it was opened.
//!
//! A message appears under its name only when it is whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::Mail;

/// Messages kept; the oldest goes when one more arrives.
const MESSAGES_MAX: usize = 1000;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MailRow {
    pub number: u32,
    pub from: String,
    pub to: String,
    pub subject: String,
    /// As the sender wrote it, in RFC 3339; empty when there was none.
    pub date: String,
    pub unread: bool,
}

/// How many mails there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MailCounts {
    pub total: usize,
    pub unread: usize,
}

/// The folder and the number that its next message gets.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    next: u32,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut folder = Self {
            dir: dir.to_owned(),
            next: 1,
        };
        let newest = folder.numbers()?.into_iter().max().unwrap_or(0);
        folder.next = newest.saturating_add(1);
        Ok(folder)
    }

    pub(super) fn keep(&mut self, message: &[u8]) -> io::Result<u32> {
        let number = self.next;
        let unfinished = self.dir.join(format!("{number:06}.part"));
        fs::write(&unfinished, message)?;
        fs::rename(&unfinished, self.path(number, "eml"))?;
        self.next = number.saturating_add(1);
        self.forget_oldest()?;
        Ok(number)
    }

    pub(super) fn rows(&self) -> io::Result<Vec<MailRow>> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let mut rows = Vec::with_capacity(numbers.len());
        for number in numbers {
            if let Some(mail) = self.raw(number)?.and_then(|raw| Mail::parse(&raw)) {
                rows.push(MailRow {
                    number,
                    from: mail.from,
                    to: mail.to,
                    subject: mail.subject,
                    date: mail.date,
                    unread: self.is_unread(number),
                });
            }
        }
        Ok(rows)
    }

    pub(super) fn counts(&self) -> io::Result<MailCounts> {
        let numbers = self.numbers()?;
        let unread = numbers.iter().filter(|number| self.is_unread(**number)).count();
        Ok(MailCounts {
            total: numbers.len(),
            unread,
        })
    }

    pub(super) fn raw(&self, number: u32) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(number, "eml")) {
            Ok(raw) => Ok(Some(raw)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn mark_read(&self, number: u32) -> io::Result<()> {
        fs::write(self.path(number, "read"), b"")
    }

    fn is_unread(&self, number: u32) -> bool {
        !self.path(number, "read").exists()
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable();
        let surplus = numbers.len().saturating_sub(MESSAGES_MAX);
        for number in numbers.into_iter().take(surplus) {
            fs::remove_file(self.path(number, "eml"))?;
            match fs::remove_file(self.path(number, "read")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn numbers(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let number: Option<u32> = name
                .to_str()
                .and_then(|name| name.strip_suffix(".eml"))
                .and_then(|stem| stem.parse().ok());
            numbers.extend(number);
        }
        Ok(numbers)
    }

    fn path(&self, number: u32, kind: &str) -> PathBuf {
        self.dir.join(format!("{number:06}.{kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: Larkfield Bank <desk@larkfield.example>\r\nTo: ada@example.com\r\n\
        Subject: Your new PIN is set\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nHello\r\n";

    #[test]
    fn a_reopened_folder_lists_newest_first_and_remembers_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        folder.keep(MAIL).unwrap();
        folder.keep(MAIL).unwrap();
        folder.mark_read(1).unwrap();

        let mut folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.keep(MAIL).unwrap(), 3);
        let rows: Vec<_> = folder
            .rows()
            .unwrap()
            .into_iter()
            .map(|row| (row.number, row.unread))
            .collect();
        assert_eq!(rows, [(3, true), (2, true), (1, false)]);
        assert_eq!(folder.counts().unwrap(), MailCounts { total: 3, unread: 2 });
    }

    #[test]
    fn the_oldest_message_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        for number in 1..=MESSAGES_MAX {
            fs::write(dir.path().join(format!("{number:06}.eml")), MAIL).unwrap();
        }
        folder.mark_read(1).unwrap();
        folder.next = 1001;
        folder.keep(MAIL).unwrap();
        assert_eq!(folder.numbers().unwrap().len(), MESSAGES_MAX);
        assert_eq!(folder.raw(1).unwrap(), None);
        assert!(!folder.path(1, "read").exists());
    }
}
