//! The log of what administrators do.

use serde_json::json;

use super::super::{
    Act, Doer, EntryFilter, Subject, changed_secret, count_entries, differences, insert_changes, insert_entry,
    list_entries,
};
use super::*;

/// Every entry that there may be.
const ALL: i64 = 100;

fn doer(user: &User, at: &str) -> Doer {
    Doer::new(at.to_owned(), user, "192.0.2.1".to_owned(), Means::Session)
}

impl Rig {
    fn note(&self, by: &User, act: Act, on: &User) {
        let (doer, subject) = (doer(by, &at(0)), Subject::user(on));
        let note = move |tx: &Tx<'_>| insert_entry(tx, &doer, act, &subject, vec![changed_secret("password")]);
        self.write(note).unwrap();
    }

    fn acts(&self, filter: &EntryFilter) -> Vec<String> {
        let entries = self.read(|read| list_entries(read, filter, ALL)).unwrap();
        let count = self.read(|read| count_entries(read, filter)).unwrap();
        assert_eq!(usize::try_from(count).unwrap(), entries.len());
        entries.into_iter().map(|entry| entry.act).collect()
    }
}

#[test]
fn entries_are_found_by_what_was_done_and_by_whom_it_concerns() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.note(&ann, Act::UserCreate, &bob);
    rig.note(&ann, Act::UserUpdate, &ann);
    rig.note(&ann, Act::UserDelete, &bob);
    assert_eq!(
        rig.acts(&EntryFilter::default()),
        ["user.delete", "user.update", "user.create"]
    );
    let by = |act: Option<&str>, user: &User| {
        rig.acts(&EntryFilter {
            act: act.map(str::to_owned),
            user_id: Some(user.uuid.clone()),
            before: None,
        })
    };
    assert_eq!(by(None, &bob), ["user.delete", "user.create"]);
    assert_eq!(by(Some("user.create"), &bob), ["user.create"]);
    assert_eq!(by(Some("user.update"), &bob), [""; 0]);
    assert_eq!(by(None, &ann).len(), 3);
    let entry = rig
        .read(|read| list_entries(read, &EntryFilter::default(), ALL))
        .unwrap()
        .remove(0);
    assert_eq!(
        (entry.user_name.as_str(), entry.subject.as_deref()),
        ("ann", Some("bob"))
    );
    assert_eq!(
        (entry.means.as_str(), entry.changes.as_str()),
        ("session", r#"[{"field":"password"}]"#)
    );
}

/// What is not done leaves no entry, and whoever is removed stays in those there are.
#[test]
fn an_entry_stands_and_falls_with_what_it_is_about() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.note(&ann, Act::UserDelete, &bob);
    let by = doer(&ann, &at(0));
    let failed = rig.write(move |tx| {
        insert_entry(tx, &by, Act::SignupUpdate, &Subject::default(), Vec::new())?;
        Err::<(), _>(Error::new(Kind::Conflict, "no"))
    });
    check_kind(failed, Kind::Conflict);
    rig.batch(&format!("DELETE FROM users WHERE id = {}", bob.id));
    assert_eq!(rig.acts(&EntryFilter::default()), ["user.delete"]);
}

#[test]
fn old_entries_go_and_so_do_those_beyond_the_limit() {
    let rig = Rig::new();
    let fill = |first: u32, count: u32, at: &str| {
        rig.batch(&format!(
            "WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers LIMIT {count})
             INSERT INTO audit (id, at, user_name, means, act, changes)
             SELECT n, '{at}', 'ann', 'session', 'user.update', '[]' FROM numbers"
        ));
    };
    let span = || rig.value::<String>("SELECT min(id) || ' ' || max(id) FROM audit");
    fill(1, 300, &Clock.now().plus_s(-401 * 24 * 3600).text());
    fill(301, 200, &Clock.now().plus_s(-399 * 24 * 3600).text());
    rig.clear_away_soon();
    until("the old ones are gone", || span() == "301 500");
    // Numbers are given one after the other, so the newest says how many have come since each of the others.
    fill(100_400, 1, &Clock.now().text());
    rig.clear_away_soon();
    until("those that are too many are gone", || span() == "401 100400");
    // Those of the last month stay, whatever comes, as long as there is room at all.
    rig.batch("DELETE FROM audit");
    fill(200_000, 100, &Clock.now().plus_s(-31 * 24 * 3600).text());
    fill(200_100, 300, &Clock.now().plus_s(-29 * 24 * 3600).text());
    fill(400_000, 1, &Clock.now().text());
    rig.clear_away_soon();
    until("older ones are gone", || span() == "200100 400000");
    fill(1_200_299, 1, &Clock.now().text());
    rig.clear_away_soon();
    until("no more than there may ever be", || span() == "200300 1200299");
}

/// Whoever comes with the secret of the data folder is nobody with an account, whichever they use.
#[test]
fn commands_are_their_owners_and_no_accounts() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let by = Doer::new(at(0), &ann, "127.0.0.1".to_owned(), Means::CommandLine);
    assert_eq!((by.user_id, by.address), (None, None));
    assert_eq!(by.user_name, "owner of the data folder");
    assert_eq!(doer(&ann, &at(0)).user_id, Some(ann.uuid));
}

/// A page goes on where the one before ended, whatever has come in at the head meanwhile.
#[test]
fn pages_go_on_from_an_entry() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.note(&ann, Act::UserCreate, &bob);
    rig.note(&ann, Act::UserUpdate, &bob);
    let first = rig.read(|read| list_entries(read, &EntryFilter::default(), 1)).unwrap();
    rig.note(&ann, Act::UserDelete, &bob);
    let rest = EntryFilter {
        before: Some(first[0].id),
        ..EntryFilter::default()
    };
    assert_eq!(rig.acts(&rest), ["user.create"]);
}

#[test]
fn a_change_of_nothing_is_none() {
    let rig = Rig::new();
    let by = doer(&rig.user("ann"), &at(0));
    let (one, other) = (by.clone(), by);
    rig.write(move |tx| insert_changes(tx, &one, Act::UserUpdate, &Subject::default(), Vec::new()))
        .unwrap();
    assert_eq!(rig.acts(&EntryFilter::default()), [""; 0]);
    let changes = || vec![changed_secret("password")];
    rig.write(move |tx| insert_changes(tx, &other, Act::UserUpdate, &Subject::default(), changes()))
        .unwrap();
    assert_eq!(rig.acts(&EntryFilter::default()), ["user.update"]);
}

#[test]
fn what_changed_is_told_and_nothing_else() {
    let before = json!({"role": "user", "disabled": false, "limit": null});
    let after = json!({"role": "admin", "disabled": false, "limit": 5});
    let told = json!(differences(&before, &after));
    assert_eq!(
        told,
        json!([{"field": "role", "from": "user", "to": "admin"}, {"field": "limit", "from": null, "to": 5}])
    );
    assert!(differences(&after, &after).is_empty());
}
