//! What users may send, and what is counted against it.

use super::super::{
    Allowance, Consumption, NewUsage, Scope, check_allowance, count_message, find_consumption, insert_usage,
};
use super::*;
use crate::clock::Moment;

fn moment(text: &str) -> Moment {
    Moment::parse(text).unwrap()
}

impl Rig {
    fn send(&self, user: &User, per_day: u32, now: &str) -> Result<(), Error> {
        let allowance = Allowance {
            messages_per_day: per_day,
            budget_usd_month: 0.0,
        };
        let (id, now) = (user.id, moment(now));
        self.write(move |tx| count_message(tx, id, allowance, now))
    }

    fn pay(&self, user: &User, price: f64, created_at: &str) {
        let usage = NewUsage {
            user_id: user.id,
            api_key: None,
            scope: Scope::Final,
            model: "m".into(),
            input_tokens: 1,
            output_tokens: 1,
            cached_tokens: 0,
            is_estimated: false,
            price,
            created_at: created_at.into(),
        };
        self.write(move |tx| insert_usage(tx, None, &usage)).unwrap();
    }

    fn consumption(&self, user: &User, now: &str) -> Consumption {
        self.read(|read| find_consumption(read, user.id, moment(now))).unwrap()
    }
}

#[test]
fn a_day_has_so_many_messages_and_the_next_as_many_again() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.send(&ann, 2, "2026-01-31T23:59:58Z").unwrap();
    rig.send(&ann, 2, "2026-01-31T23:59:59Z").unwrap();
    let refused = rig.send(&ann, 2, "2026-01-31T23:59:59Z").unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after_s()), (Kind::RateLimited, Some(1)));
    assert_eq!(
        refused.message(),
        "The limit of 2 messages a day is reached; it opens again on 2026-02-01 at 00:00 UTC. Nothing was stored"
    );
    rig.send(&bob, 2, "2026-01-31T23:59:59Z").unwrap();
    // Without a limit they are counted all the same: one may come later in the day.
    rig.send(&ann, 0, "2026-01-31T23:59:59Z").unwrap();
    assert_eq!(rig.consumption(&ann, "2026-01-31T00:00:00Z").messages_today, 3);
    rig.send(&ann, 2, "2026-02-01T00:00:00Z").unwrap();
    assert_eq!(rig.consumption(&ann, "2026-02-01T12:00:00Z").messages_today, 1);
    assert_eq!(rig.consumption(&ann, "2026-02-02T12:00:00Z"), Consumption::default());
}

#[test]
fn a_month_costs_so_much() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let check = |budget_usd_month: f64, now: &str| {
        let allowance = Allowance {
            messages_per_day: 0,
            budget_usd_month,
        };
        rig.read(|read| check_allowance(read, ann.id, allowance, moment(now)))
    };
    check(0.5, "2026-12-30T00:00:00Z").unwrap();
    rig.pay(&ann, 0.25, "2026-11-30T23:59:59.999999+00:00");
    rig.pay(&ann, 0.25, "2026-12-01T00:00:00.000000+00:00");
    check(0.5, "2026-12-30T00:00:00Z").unwrap();
    rig.pay(&ann, 0.25, "2026-12-29T00:00:00.000000+00:00");
    let refused = check(0.5, "2026-12-31T00:00:00Z").unwrap_err();
    assert_eq!(
        (refused.kind(), refused.retry_after_s()),
        (Kind::RateLimited, Some(86_400))
    );
    assert_eq!(
        refused.message(),
        "This month's budget of 0.5 US dollars is spent; it opens again on 2027-01-01 at 00:00 UTC. Nothing was stored"
    );
    check(0.75, "2026-12-31T00:00:00Z").unwrap();
    check(0.0, "2026-12-31T00:00:00Z").unwrap();
    check(0.5, "2027-01-01T00:00:00Z").unwrap();
}

/// The sums of two kinds stand in one row, and neither takes the other's day or month for its own.
#[test]
fn messages_and_money_are_kept_apart() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.pay(&ann, 0.5, "2026-03-01T00:00:00.000000+00:00");
    rig.send(&ann, 1, "2026-04-01T00:00:00Z").unwrap();
    let april = Consumption {
        messages_today: 1,
        spent_usd_month: 0.0,
        upload_bytes: 0,
    };
    assert_eq!(rig.consumption(&ann, "2026-04-01T00:00:00Z"), april);
    let march = rig.consumption(&ann, "2026-03-31T00:00:00Z");
    assert!((march.spent_usd_month - 0.5).abs() < 1e-9, "{march:?}");
}

/// What was begun before midnight may be stored after it, and clocks are set back.
#[test]
fn what_comes_late_brings_no_day_and_no_month_back() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.send(&ann, 2, "2026-02-01T00:00:01Z").unwrap();
    rig.send(&ann, 2, "2026-01-31T23:59:59Z").unwrap();
    check_kind(rig.send(&ann, 2, "2026-02-01T00:00:02Z"), Kind::RateLimited);
    check_kind(rig.send(&ann, 2, "2026-01-31T12:00:00Z"), Kind::RateLimited);
    rig.pay(&ann, 0.25, "2026-02-01T00:00:01.000000+00:00");
    rig.pay(&ann, 0.5, "2026-01-31T23:59:59.000000+00:00");
    for now in ["2026-01-31T23:59:59Z", "2026-02-01T00:00:02Z"] {
        let found = rig.consumption(&ann, now);
        assert_eq!(found.messages_today, 2, "{now}");
        assert!((found.spent_usd_month - 0.75).abs() < 1e-9, "{now}: {found:?}");
    }
    assert_eq!(rig.consumption(&ann, "2026-03-01T00:00:00Z"), Consumption::default());
}

/// Whoever has waited was let in while there was something left.
#[test]
fn a_message_that_has_waited_is_held_to_the_budget_as_well() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let allowance = Allowance {
        messages_per_day: 0,
        budget_usd_month: 0.5,
    };
    let send = || {
        let (id, now) = (ann.id, moment("2026-02-01T12:00:00Z"));
        rig.write(move |tx| count_message(tx, id, allowance, now))
    };
    send().unwrap();
    rig.pay(&ann, 0.5, "2026-02-01T11:00:00.000000+00:00");
    check_kind(send(), Kind::RateLimited);
    assert_eq!(rig.consumption(&ann, "2026-02-01T12:00:00Z").messages_today, 1);
}
