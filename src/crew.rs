//! Threads that come when there is work for them: many a server never has any, and none waits for them when it starts.

use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::error::Error;
use crate::system;

/// Threads that do the same work.
pub struct Crew {
    name: &'static str,
    stack_bytes: usize,
    threads_max: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Crew {
    /// Nobody yet, and at most `threads_max` later: `name`-0 and so on, each with `stack_bytes`.
    pub fn new(name: &'static str, stack_bytes: usize, threads_max: usize) -> Crew {
        Crew {
            name,
            stack_bytes,
            threads_max,
            threads: Mutex::default(),
        }
    }

    /// Has one more thread do `work`, unless all are there.
    ///
    /// # Errors
    /// [`crate::error::Kind::Internal`] when the system gives none and nobody is there.
    pub fn grow(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() >= self.threads_max {
            return Ok(());
        }
        let name = format!("{}-{}", self.name, threads.len());
        let work = || {
            // Whoever starts it may be a turn's thread.
            system::interrupt_as_usual();
            work();
        };
        match Builder::new().name(name).stack_size(self.stack_bytes).spawn(work) {
            Ok(thread) => threads.push(thread),
            Err(error) if threads.is_empty() => return Err(Error::internal("a thread did not start", error)),
            Err(error) => log::warn!("there are fewer threads than there should be: {error}"),
        }
        Ok(())
    }

    /// Those who are there, to wait for their ends.
    pub fn dismiss(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn they_work_like_all_others_whoever_starts_them() {
        let crew = Crew::new("tested", 64 * 1024, 1);
        let (tell, told) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                system::interrupt_nobody();
                crew.grow(move || tell.send(system::interrupts()).unwrap()).unwrap();
            });
        });
        assert!(told.recv().unwrap());
    }

    #[test]
    fn they_come_one_by_one_up_to_the_limit() {
        let crew = Crew::new("tested", 64 * 1024, 2);
        let (heard, names) = channel();
        for _ in 0..3 {
            let heard = heard.clone();
            crew.grow(move || heard.send(std::thread::current().name().map(str::to_owned)).unwrap())
                .unwrap();
        }
        drop(heard);
        let threads = crew.dismiss();
        assert_eq!(threads.len(), 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut names: Vec<String> = names.iter().flatten().collect();
        names.sort();
        assert_eq!(names, ["tested-0", "tested-1"]);
    }
}
