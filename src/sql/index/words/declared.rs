//! What the declaration asks for: made or found when the index is, and whether it is ready to be asked.

use super::{TABLES, Words, errors, triggers};
use crate::error::Result;
use crate::sql::index::content::{Content, Located, Origin};

impl Words<'_> {
    /// Makes what the declaration asks for, or looks at what it names.
    ///
    /// # Errors
    /// This host has no FTS5; the content is a view; a name is taken; there is no FTS5 table of that name.
    pub fn declare(self, located: &Located) -> Result<()> {
        if !self.are_kept() {
            return match self.shadow.spec().has_words() {
                true => self.check_host().and_then(|()| self.check_named()),
                false => Ok(()),
            };
        }
        if located.origin == Origin::View {
            return Err(errors::over_a_view(&located.named.table));
        }
        if located.origin == Origin::Table {
            triggers::check_can_adopt(self.shadow, &located.named, &self.columns(located))?;
        }
        if !self.can_adopt()? {
            self.create_table()?;
        }
        self.fill(located, i64::MIN, None)?;
        self.create_triggers(located)
    }

    /// The key from which on words may be missing: they are lost, or being made again.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn missing_from(self, located: &Located) -> Result<Option<i64>> {
        if !self.are_kept() {
            return Ok(None);
        }
        match self.are_lost(located)? {
            true => Ok(Some(i64::MIN)),
            false => self.unfilled_from(),
        }
    }

    /// What is wrong where one of the tables is gone that FTS5 keeps behind the index's own: whoever writes meets an error.
    fn missing_behind(self) -> Result<Option<String>> {
        for behind in TABLES {
            if !self.shadow.has_table(behind.suffix)? {
                let name = self.shadow.names().bare(behind.suffix);
                return Ok(Some(errors::missing_behind(&name)));
            }
        }
        Ok(None)
    }

    /// What is wrong that the schema and the settings tell, and the way out; the table itself is not looked at.
    ///
    /// # Errors
    /// What SQLite says; the content is gone.
    pub fn wrong(self) -> Result<Option<String>> {
        if self.are_kept() {
            let lost = self.are_lost(&Content::new(self.shadow).locate()?)?;
            return Ok(match (lost, self.unfilled_from()?) {
                (true, _) => Some(errors::LOST.to_owned()),
                (false, Some(_)) => Some(errors::UNFILLED.to_owned()),
                (false, None) => self.missing_behind()?,
            });
        }
        if !self.shadow.spec().has_words() {
            return Ok(None);
        }
        match self.check_named() {
            Err(e) if !e.is_passing() => Ok(Some(e.message().to_owned())),
            other => other.map(|()| None),
        }
    }

    /// Before it is asked: that the table is what it is to be, and has the words of all texts.
    ///
    /// # Errors
    /// It is not; a table of the user's is missing.
    pub(super) fn check_ready(self) -> Result<()> {
        if !self.are_kept() {
            return self.check_named();
        }
        self.verify()?;
        match self.unfilled_from()? {
            None => Ok(()),
            Some(_) => Err(errors::unfilled()),
        }
    }
}
