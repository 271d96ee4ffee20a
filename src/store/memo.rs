//! What reads have found, kept for as long as nothing is written: for what every request asks anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Read, Store};
use crate::error::Error;

/// Answers that are kept at a time. One more, and they are all looked up again.
const KEPT_MAX: usize = 256;

/// Answers of one kind of question, by what was asked.
#[derive(Debug)]
pub struct Memo<T> {
    kept: Mutex<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    /// How much the writer had written before they were looked up ([`super::writer::Writer::written`]).
    as_of: u64,
    answers: HashMap<String, T>,
}

impl<T> Default for Memo<T> {
    fn default() -> Memo<T> {
        let kept = Kept {
            as_of: 0,
            answers: HashMap::new(),
        };
        Memo { kept: Mutex::new(kept) }
    }
}

impl<T> Memo<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// As [`Store::read`], or what that gave last for this question, if nothing has been written since: whoever has been
    /// told that something was written finds it.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub fn recall<T: Clone>(
        &self,
        memo: &Memo<T>,
        question: &str,
        look_up: impl FnOnce(&Read<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Before the look: what is written meanwhile may be in it or not.
        let as_of = self.writer.written();
        let kept = memo.kept();
        if kept.as_of == as_of
            && let Some(answer) = kept.answers.get(question)
        {
            return Ok(answer.clone());
        }
        drop(kept);
        let answer = self.read(look_up)?;
        let mut kept = memo.kept();
        if kept.as_of < as_of || kept.answers.len() >= KEPT_MAX {
            kept.answers.clear();
            kept.as_of = kept.as_of.max(as_of);
        }
        if kept.as_of == as_of {
            kept.answers.insert(question.to_owned(), answer.clone());
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::store::tests::Rig;

    #[test]
    fn what_is_kept_is_as_old_as_the_last_write() {
        let rig = Rig::new();
        let (memo, looks) = (Memo::default(), Cell::new(0));
        let recall = |question: &str| {
            let name = |read: &Read<'_>| {
                looks.set(looks.get() + 1);
                read.first("SELECT value FROM settings WHERE key = 'probe'", (), |row| {
                    row.get::<_, String>(0)
                })
            };
            rig.store.recall(&memo, question, name).unwrap()
        };
        assert_eq!(
            (recall("a"), recall("a"), recall("b"), looks.get()),
            (None, None, None, 2)
        );
        for value in ["one", "two"] {
            rig.write(move |tx| {
                let sql = "INSERT INTO settings VALUES ('probe', ?1) ON CONFLICT DO UPDATE SET value = ?1";
                tx.execute(sql, [value]).map(drop)
            })
            .unwrap();
            assert_eq!(
                (recall("a").as_deref(), recall("b").as_deref()),
                (Some(value), Some(value))
            );
        }
        let before = looks.get();
        for number in 0..KEPT_MAX * 3 {
            recall(&number.to_string());
            assert!(memo.kept().answers.len() <= KEPT_MAX);
        }
        assert_eq!(looks.get(), before + KEPT_MAX * 3);
    }

    #[test]
    fn a_failed_look_is_not_kept() {
        let rig = Rig::new();
        let memo = Memo::<()>::default();
        let failing = |_: &Read<'_>| Err(Error::new(crate::error::Kind::Internal, "on purpose"));
        rig.store.recall(&memo, "a", failing).unwrap_err();
        rig.store.recall(&memo, "a", |_| Ok(())).unwrap();
    }
}
