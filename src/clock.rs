//! What time it is, and new ids. Handlers reach both through `App`, so that nothing else in the house asks the system.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::fmt::rfc2822;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::Offset;

/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// Microseconds in a day.
const DAY: i64 = 24 * 3600 * MICROS;

/// A moment in UTC, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

impl Moment {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`, as headers of HTTP have it; none if it is no such date.
    pub fn from_http_date(text: &str) -> Option<Moment> {
        const PARSER: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new();
        let timestamp = PARSER.parse_timestamp(text).ok()?;
        Some(Moment(timestamp.as_microsecond()))
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0 / MICROS).unwrap_or(0)
    }

    /// This moment plus so many microseconds.
    #[must_use]
    pub fn plus_us(self, micros: i64) -> Moment {
        Moment(self.0.saturating_add(micros))
    }

    /// This moment plus so many seconds (negative: minus).
    #[must_use]
    pub fn plus_s(self, seconds: i64) -> Moment {
        self.plus_us(seconds.saturating_mul(MICROS))
    }

    /// The beginning of the day that a text names, `2026-11-21`, in UTC. `None`: it is no such text.
    pub fn parse_day(text: &str) -> Option<Moment> {
        let is_date = text.len() == "2026-11-21".len();
        Moment::parse(&format!("{text}T00:00:00Z")).filter(|_| is_date)
    }

    /// The beginning of its day in UTC.
    #[must_use]
    pub fn day(self) -> Moment {
        Moment(self.0 - self.0.rem_euclid(DAY))
    }

    /// The beginning of the next day in UTC.
    #[must_use]
    pub fn tomorrow(self) -> Moment {
        self.day().plus_us(DAY)
    }

    /// Microseconds from `earlier` until this moment.
    pub fn since_us(self, earlier: Moment) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment that a text names, in RFC 3339 with its offset. `None`: it is no such text.
    pub fn parse(text: &str) -> Option<Moment> {
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Some(Moment(timestamp.as_microsecond()))
    }

    /// When the calendar month began that this moment is in (UTC), as [`Moment::text`].
    pub fn month_text(self) -> String {
        let mut text = self.text();
        // All in front of the day has a fixed width.
        text.replace_range(7.., "-01T00:00:00.000000+00:00");
        text
    }

    /// When the next calendar month begins (UTC).
    #[must_use]
    pub fn next_month(self) -> Moment {
        let begin = |moment: Moment| Moment::parse(&moment.month_text()).unwrap_or(moment);
        // No month is as long.
        begin(begin(self).plus_us(32 * DAY))
    }

    /// So many seconds after 1970, as other programs count them. `None`: that is no moment from then until the year 9999.
    pub fn from_seconds(seconds: f64) -> Option<Moment> {
        let is_sound = (0.0..253_402_300_800.0).contains(&seconds);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the range was looked at; less than a microsecond goes"
        )]
        let micros = (seconds * 1e6).round() as i64;
        is_sound.then_some(Moment(micros))
    }

    /// `2026-11-21T05:17:02.616428+00:00`: RFC 3339, UTC, always six fractional digits, so that texts sort as times do.
    /// A moment beyond the year 9999 is its end: what is to last for ever must not seem long past.
    pub fn text(self) -> String {
        const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        let timestamp = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        PRINTER.timestamp_with_offset_to_string(&timestamp, Offset::UTC)
    }

    /// `Sat, 21 Nov 2026 05:17:02 GMT`: as HTTP's fields have it (RFC 9110, 5.6.7).
    pub fn http_date(self) -> String {
        let timestamp = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        // Fails for years before the first alone.
        rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&timestamp)
            .unwrap_or_default()
    }
}

/// The source of moments and ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Now.
    pub fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// A new UUID of version 7: in order of time, so that an index of them grows at its end only.
    pub fn uuid(&self) -> String {
        uuid::Uuid::now_v7().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_http_names_the_day_of_the_week() {
        assert_eq!(Moment(784_111_777_000_000).http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(Moment(i64::MAX).http_date().contains(" Dec 9999 "));
    }

    #[test]
    fn text_has_six_digits_and_an_offset() {
        assert_eq!(Moment(0).text(), "1970-01-01T00:00:00.000000+00:00");
        let moment = Moment(1_795_238_222_616_428);
        assert_eq!(moment.text(), "2026-11-21T05:17:02.616428+00:00");
        assert!(Moment(i64::MAX).text().starts_with("9999-12-"));
        assert_eq!(Moment::parse_day("2026-11-21"), Some(moment.day()));
        for text in [
            "",
            "2026-13-01",
            "2026-1-1",
            "2026-11-21T05:17:02Z",
            "yesterday.",
            "20261121",
        ] {
            assert_eq!(Moment::parse_day(text), None, "{text}");
        }
        assert_eq!(moment.month_text(), "2026-11-01T00:00:00.000000+00:00");
        assert_eq!(moment.next_month().text(), "2026-12-01T00:00:00.000000+00:00");
        let last = Moment::parse("2026-12-31T23:59:59Z").unwrap();
        assert_eq!(last.next_month().text(), "2027-01-01T00:00:00.000000+00:00");
        assert_eq!(Moment::parse("2026-11-21T06:17:02.616428+01:00"), Some(moment));
        assert_eq!(Moment::parse("1970-01-01T00:00:00Z"), Some(Moment(0)));
        for text in ["", "soon", "2026-11-21", "2026-11-21T06:17:02", "2026-13-01T00:00:00Z"] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
        assert_eq!(Moment::from_seconds(1_795_238_222.616_428), Some(moment));
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(Moment::from_seconds(seconds), None, "{seconds}");
        }
        assert_eq!(moment.plus_s(-2).text(), "2026-11-21T05:17:00.616428+00:00");
    }

    #[test]
    fn dates_of_http() {
        let moment = Moment::from_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(moment.text(), "1994-11-06T08:49:37.000000+00:00");
        for wrong in ["", "7", "Sun, 36 Nov 1994 08:49:37 GMT"] {
            assert_eq!(Moment::from_http_date(wrong), None, "{wrong:?}");
        }
    }
}
