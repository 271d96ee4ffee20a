//! Accounts: what must be unique, who is the first; sessions and what ends them.

use std::sync::Barrier;

use super::super::{
    NewSession, Session, SessionKey, SessionOf, UserPatch, count_users, delete_api_key, delete_session,
    end_other_sessions, find_revocation, find_session, find_user_by_external_id, find_user_by_login, find_user_by_uuid,
    insert_revocation, insert_session, list_ended_sessions, list_sessions, update_user,
};
use super::*;

impl Rig {
    fn add_user(&self, new: &NewUser) -> Result<User, Error> {
        let new = new.clone();
        self.write(move |tx| insert_user(tx, &new))
    }

    fn patch(&self, user: &User, patch: UserPatch) -> Result<User, Error> {
        let id = user.id;
        self.write(move |tx| update_user(tx, id, &patch))
    }

    /// A session of the account as it stands, made at `at(seconds)`.
    fn session(&self, user: &User, id: &str, seconds: usize) {
        let new = NewSession {
            user_id: user.id,
            version: user.session_version,
            session: Session {
                id: id.into(),
                user_agent: Some("a browser".into()),
                created_at: at(seconds),
                expires_at: at(3000),
            },
            means: Means::Session,
        };
        self.write(move |tx| insert_session(tx, &new)).unwrap();
    }

    fn sessions(&self, user: &User) -> Vec<String> {
        let sessions = self.read(|read| list_sessions(read, user, &at(100))).unwrap();
        sessions.into_iter().map(|session| session.id).collect()
    }

    /// Whether a session is known, and current.
    fn is_current(&self, id: &str) -> Option<bool> {
        let found = self.read(|read| find_session(read, id)).unwrap();
        found.map(|found| found.is_current)
    }
}

/// The account cannot be made, and the sentence says what is taken.
#[track_caller]
fn check_taken(outcome: Result<User, Error>, what: &str) {
    let error = check_kind(outcome, Kind::Conflict);
    assert!(error.message().contains(what), "{error}");
}

#[test]
fn names_are_unique_without_regard_to_case() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let bob = rig.user("bob");
    let shouted = NewUser {
        email: Some("ANN@Example.ORG".into()),
        ..new_user("carol")
    };
    check_taken(rig.add_user(&shouted), "Email");
    check_taken(
        rig.add_user(&NewUser {
            email: None,
            ..new_user("Ann")
        }),
        "Username",
    );
    // Both are taken: either may be named, and nothing else.
    check_kind(rig.add_user(&new_user("ann")), Kind::Conflict);
    let patch = |username: Option<&str>, email: Option<&str>| UserPatch {
        username: username.map(Into::into),
        email: email.map(Into::into),
        ..UserPatch::default()
    };
    check_taken(rig.patch(&bob, patch(Some("ANN"), None)), "Username");
    check_taken(rig.patch(&bob, patch(None, Some("ann@EXAMPLE.org"))), "Email");
    // One's own name in another case is free.
    let renamed = rig.patch(&ann, patch(Some("Ann"), None)).unwrap();
    assert_eq!((renamed.username.as_deref(), renamed.id), (Some("Ann"), ann.id));
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM users"), 2);
}

#[test]
fn many_accounts_may_lack_a_name() {
    let rig = Rig::new();
    for name in ["ann", "bob"] {
        let new = NewUser {
            username: None,
            external_id: Some(name.into()),
            email: None,
            ..new_user(name)
        };
        rig.add_user(&new).unwrap();
    }
}

#[test]
fn identities_of_another_system_are_exact() {
    let rig = Rig::new();
    let external = |id: &str| NewUser {
        external_id: Some(id.into()),
        username: None,
        email: None,
        password_hash: None,
        ..new_user("")
    };
    let one = rig.add_user(&external("abc")).unwrap();
    check_taken(rig.add_user(&external("abc")), "User already exists");
    let other = rig.add_user(&external("ABC")).unwrap();
    for (id, user) in [("abc", &one), ("ABC", &other)] {
        let found = rig.read(|read| find_user_by_external_id(read, id)).unwrap().unwrap();
        assert_eq!(found.id, user.id);
    }
    assert!(
        rig.read(|read| find_user_by_external_id(read, "aBc"))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_repeated_uuid_is_our_mistake_and_not_the_visitors() {
    let rig = Rig::new();
    let uuid = rig.user("ann").uuid;
    check_kind(
        rig.add_user(&NewUser {
            uuid,
            ..new_user("bob")
        }),
        Kind::Internal,
    );
}

#[test]
fn of_many_first_visitors_one_is_the_administrator() {
    let rig = Rig::new();
    let external = NewUser {
        external_id: Some("theirs".into()),
        admin: Admin::IfFirst,
        ..new_user("zoe")
    };
    let start = Barrier::new(8);
    let users: Vec<User> = thread::scope(|scope| {
        let racing: Vec<_> = (0..8)
            .map(|number| {
                let (rig, start) = (&rig, &start);
                let new = NewUser {
                    admin: Admin::IfFirst,
                    ..new_user(&format!("user{number}"))
                };
                scope.spawn(move || {
                    start.wait();
                    rig.add_user(&new).unwrap()
                })
            })
            .collect();
        racing.into_iter().map(|user| user.join().unwrap()).collect()
    });
    let admins: Vec<&User> = users.iter().filter(|user| user.admin == Admin::Yes).collect();
    assert_eq!(admins.len(), 1);
    assert_eq!(admins[0].id, users.iter().map(|user| user.id).min().unwrap());
    assert_eq!(rig.add_user(&external).unwrap().admin, Admin::No);
    assert_eq!(rig.read(count_users).unwrap(), 8);
}

#[test]
fn users_of_other_systems_are_not_the_first() {
    let rig = Rig::new();
    let external = NewUser {
        external_id: Some("theirs".into()),
        ..new_user("zoe")
    };
    rig.add_user(&external).unwrap();
    let first = rig
        .add_user(&NewUser {
            admin: Admin::IfFirst,
            ..new_user("ann")
        })
        .unwrap();
    assert_eq!(first.admin, Admin::Yes);
    let asked = rig
        .add_user(&NewUser {
            admin: Admin::Yes,
            ..new_user("bob")
        })
        .unwrap();
    assert_eq!(asked.admin, Admin::Yes);
}

#[test]
fn signing_in_by_either_name() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.user("bob");
    for login in ["ann", "ANN", "ann@example.org", "Ann@Example.Org"] {
        let (user, hash) = rig.read(|read| find_user_by_login(read, login)).unwrap().unwrap();
        assert_eq!((user.id, hash.as_deref()), (ann.id, Some("a hash")), "{login}");
    }
    for login in ["", "an", "ann@example", "ann%", "ann "] {
        assert!(
            rig.read(|read| find_user_by_login(read, login)).unwrap().is_none(),
            "{login}"
        );
    }
    let found = rig.read(|read| find_user_by_uuid(read, &ann.uuid)).unwrap().unwrap();
    assert_eq!(found.id, ann.id);
}

#[test]
fn a_patch_changes_what_it_names() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let patched = rig
        .patch(
            &ann,
            UserPatch {
                display_name: Some("Ann B.".into()),
                ..UserPatch::default()
            },
        )
        .unwrap();
    assert_eq!(patched.display_name.as_deref(), Some("Ann B."));
    assert_eq!(
        (patched.username, patched.email),
        (ann.username.clone(), ann.email.clone())
    );
    assert_eq!(patched.session_version, ann.session_version);
    let nobody = User { id: 99, ..ann };
    check_kind(rig.patch(&nobody, UserPatch::default()), Kind::NotFound);
}

#[test]
fn a_new_password_ends_the_other_sessions() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    for (seconds, id) in ["old", "kept", "new"].into_iter().enumerate() {
        rig.session(&ann, id, seconds);
    }
    rig.session(&bob, "bobs", 0);
    assert_eq!(rig.sessions(&ann), ["new", "kept", "old"]);
    let patch = UserPatch {
        password_hash: Some("another".into()),
        ..UserPatch::default()
    };
    let changed = rig.patch(&ann, patch).unwrap();
    assert_eq!(changed.session_version, ann.session_version + 1);
    // Every session is of the old version now, also one that was being made meanwhile.
    assert_eq!(rig.is_current("kept"), Some(false));
    assert_eq!(rig.sessions(&changed), [""; 0]);
    let user = changed.clone();
    rig.write(move |tx| end_other_sessions(tx, &user, Some("kept")))
        .unwrap();
    assert_eq!(rig.sessions(&changed), ["kept"]);
    assert_eq!(rig.is_current("kept"), Some(true));
    assert_eq!(rig.is_current("old"), None);
    rig.session(&ann, "late", 5);
    assert_eq!(rig.is_current("late"), Some(false));
    let user = changed.clone();
    rig.write(move |tx| end_other_sessions(tx, &user, None)).unwrap();
    assert_eq!((rig.is_current("kept"), rig.is_current("late")), (None, None));
    assert_eq!(rig.sessions(&bob), ["bobs"]);
    assert_eq!(rig.is_current("bobs"), Some(true));
}

#[test]
fn keeping_somebody_elses_session_keeps_none() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.session(&ann, "anns", 0);
    rig.session(&bob, "bobs", 0);
    let user = ann.clone();
    rig.write(move |tx| end_other_sessions(tx, &user, Some("bobs")))
        .unwrap();
    assert_eq!(
        (rig.sessions(&ann), rig.sessions(&bob)),
        (vec![], vec!["bobs".to_owned()])
    );
}

#[test]
fn a_session_is_ended_by_its_owner() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    rig.session(&ann, "anns", 0);
    let ended = |user: &User| {
        let id = user.id;
        rig.write(move |tx| delete_session(tx, id, "anns")).unwrap()
    };
    assert!(!ended(&bob));
    assert_eq!(rig.is_current("anns"), Some(true));
    assert!(ended(&ann));
    assert!(!ended(&ann));
    assert_eq!(rig.is_current("anns"), None);
}

#[test]
fn sessions_that_are_over_are_not_listed() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    rig.session(&ann, "one", 0);
    let listed = |now: &str| rig.read(|read| list_sessions(read, &ann, now)).unwrap().len();
    assert_eq!((listed(&at(2999)), listed(&at(3000))), (1, 0));
    // Their expiry is the token's own business.
    assert_eq!(rig.is_current("one"), Some(true));
}

#[test]
fn tokens_of_other_systems_are_revoked_once() {
    let rig = Rig::new();
    for expires_at in [Some(at(10)), None, Some(at(20))] {
        rig.write(move |tx| insert_revocation(tx, "a hash", expires_at.as_deref()))
            .unwrap();
    }
    let is_revoked = |hash: &str| rig.read(|read| find_revocation(read, hash)).unwrap();
    assert!(is_revoked("a hash") && !is_revoked("A hash"));
    assert_eq!(rig.value::<String>("SELECT expires_at FROM revocations"), at(10));
}

#[test]
fn sessions_that_are_over_are_found() {
    let rig = Rig::new();
    let (ann, bob, carol, eve) = (rig.user("ann"), rig.user("bob"), rig.user("carol"), rig.user("eve"));
    for (user, id) in [(&ann, "lasts"), (&ann, "ends"), (&bob, "bobs"), (&carol, "carols")] {
        rig.session(user, id, 0);
    }
    let local = |user: &User, id: &str| SessionOf {
        user_id: user.id,
        key: SessionKey::Local(id.into()),
    };
    let external = |user: &User, digest: &str, expires_at: Option<usize>| SessionOf {
        user_id: user.id,
        key: SessionKey::External {
            digest: digest.into(),
            expires_at: expires_at.map(at),
        },
    };
    let api_key = |user: &User, name: &str, expires_at: Option<usize>| SessionOf {
        user_id: user.id,
        key: SessionKey::ApiKey(rig.api_key(user, name, expires_at)),
    };
    let nobody = User { id: 99, ..ann.clone() };
    let asked = [
        (local(&ann, "lasts"), false),
        (local(&ann, "ends"), true),
        (local(&ann, "never was"), true),
        (local(&bob, "bobs"), true),
        (local(&carol, "carols"), true),
        (external(&ann, "lasts", Some(200)), false),
        (external(&ann, "for ever", None), false),
        (external(&ann, "expired", Some(100)), true),
        (external(&ann, "revoked", Some(200)), true),
        (external(&eve, "disabled", Some(200)), true),
        (external(&nobody, "gone", None), true),
        (api_key(&ann, "lasts", Some(200)), false),
        (api_key(&ann, "for ever", None), false),
        (api_key(&ann, "expired", Some(100)), true),
        (api_key(&ann, "deleted", None), true),
        (api_key(&eve, "disabled", None), true),
    ];
    rig.write({
        let id = ann.id;
        move |tx| delete_session(tx, id, "ends")
    })
    .unwrap();
    rig.write({
        let id = ann.id;
        move |tx| delete_api_key(tx, id, &format!("deleted of {id}"))
    })
    .unwrap();
    rig.write(|tx| insert_revocation(tx, "revoked", Some(&at(200))))
        .unwrap();
    let patch = UserPatch {
        password_hash: Some("another".into()),
        ..UserPatch::default()
    };
    rig.patch(&bob, patch).unwrap();
    rig.batch("UPDATE users SET disabled_at = created_at WHERE username IN ('carol', 'eve')");
    let sessions: Vec<SessionOf> = asked.iter().map(|(session, _)| session.clone()).collect();
    let ended = rig.read(|read| list_ended_sessions(read, &sessions, &at(100))).unwrap();
    for (session, is_over) in &asked {
        assert_eq!(ended.contains(session), *is_over, "{session:?}");
    }
    // All that are left expire at the same moment.
    let ended = rig
        .read(|read| list_ended_sessions(read, &sessions[..1], &at(3000)))
        .unwrap();
    assert_eq!(ended, sessions[..1]);
    assert!(
        rig.read(|read| list_ended_sessions(read, &[], &at(0)))
            .unwrap()
            .is_empty()
    );
}
