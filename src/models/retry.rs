//! When a request that failed before its answer began is sent again: at most twice, soon, and never for long.

use std::time::{Duration, Instant};

use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

use crate::clock::{Clock, Moment};

/// A third attempt that fails will be followed by a fourth that fails.
const RETRIES_MAX: u32 = 2;
/// Before the first retry; four times as long before the second. Servers that restart or shed load are back by then,
/// and a person has not yet given up.
const PAUSE: Duration = Duration::from_millis(250);
/// A server that wants to be left alone for longer is told to the user instead, who can choose another model.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// No retry begins later than this after the first attempt: a server that takes a minute to fail will do so again.
const RETRY_WITHIN: Duration = Duration::from_secs(20);

/// The attempts at one request.
pub(super) struct Attempts {
    begun: Instant,
    retries: u32,
}

impl Attempts {
    pub(super) fn begin() -> Attempts {
        Attempts {
            begun: Instant::now(),
            retries: 0,
        }
    }

    /// How long to wait before the next attempt; none when there is none. The server may have said `retry_after_s`.
    pub(super) fn next(&mut self, retry_after_s: Option<u32>) -> Option<Duration> {
        if self.retries == RETRIES_MAX {
            return None;
        }
        let own = PAUSE * 4_u32.pow(self.retries);
        let pause = retry_after_s.map_or(own, |seconds| Duration::from_secs(seconds.into()).max(own));
        self.retries += 1;
        let is_soon = pause <= PAUSE_MAX && self.begun.elapsed() + pause <= RETRY_WITHIN;
        is_soon.then_some(pause)
    }
}

/// Whether a server that answers with this status may well answer otherwise in a moment. (529: Anthropic is overloaded.)
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 529)
}

/// Seconds after which the server wants to be asked again, in either form that the header has (RFC 9110 §10.2.3).
pub(super) fn retry_after_s(headers: &HeaderMap) -> Option<u32> {
    seconds(headers.get(RETRY_AFTER)?.to_str().ok()?, Clock.now())
}

fn seconds(text: &str, now: Moment) -> Option<u32> {
    let text = text.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u64::MAX)
    } else {
        Moment::from_http_date(text)?.seconds().saturating_sub(now.seconds())
    };
    Some(u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_retry_after() {
        let now = Moment::from_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, wanted) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(text, now), wanted, "{text:?}");
        }
    }

    #[test]
    fn at_most_two_and_not_for_long() {
        let mut attempts = Attempts::begin();
        assert_eq!(attempts.next(None), Some(PAUSE));
        assert_eq!(attempts.next(None), Some(PAUSE * 4));
        assert_eq!(attempts.next(None), None);

        let mut attempts = Attempts::begin();
        // Whoever says that at once will do is not asked at once.
        assert_eq!(attempts.next(Some(0)), Some(PAUSE));
        assert_eq!(attempts.next(Some(10)), Some(Duration::from_secs(10)));
        assert_eq!(Attempts::begin().next(Some(11)), None);

        let mut late = Attempts::begin();
        late.begun = late.begun.checked_sub(RETRY_WITHIN).unwrap();
        assert_eq!(late.next(None), None);
    }
}
