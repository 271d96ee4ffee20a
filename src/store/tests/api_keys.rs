//! API keys: whom they sign in, how many there are, what they have spent.

use super::super::{
    NewApiKey, NewUsage, Scope, check_budget, delete_api_key, delete_api_keys, find_key_holder, insert_api_key,
    insert_usage, list_api_keys, touch_api_key,
};
use super::*;

fn new_key(user: &User, name: &str) -> NewApiKey {
    NewApiKey {
        // Of one user's keys each has another name, and that tells them apart.
        uuid: name.into(),
        user_id: user.id,
        name: name.into(),
        hint: "fs-".into(),
        sha256: format!("the hash of {name}"),
        budget_usd_month: None,
        created_at: at(0),
        expires_at: None,
    }
}

impl Rig {
    fn insert_key(&self, new: NewApiKey) -> Result<i64, Error> {
        let sql = format!("SELECT id FROM api_keys WHERE uuid = '{}'", new.uuid);
        self.write(move |tx| insert_api_key(tx, &new))?;
        Ok(self.value(&sql))
    }

    /// The row of a new key of this name (which is its id, too) that ends at `at(expires_at)`.
    pub(super) fn api_key(&self, user: &User, name: &str, expires_at: Option<usize>) -> i64 {
        let expires_at = expires_at.map(at);
        let new = NewApiKey {
            uuid: format!("{name} of {}", user.id),
            sha256: format!("{name} of {}", user.id),
            expires_at,
            ..new_key(user, name)
        };
        self.insert_key(new).unwrap()
    }

    fn spend_by(&self, user: &User, api_key: i64, price: f64, seconds: usize) {
        let new = NewUsage {
            user_id: user.id,
            api_key: Some(api_key),
            scope: Scope::Final,
            model: "m".into(),
            input_tokens: 1,
            output_tokens: 1,
            cached_tokens: 0,
            is_estimated: false,
            price,
            created_at: at(seconds),
        };
        let message = self.reply_of(user);
        self.write(move |tx| insert_usage(tx, message, &new)).unwrap();
    }

    /// A message of somebody's.
    fn reply_of(&self, user: &User) -> i64 {
        let conversation = self.conversation(user.id, 0);
        self.insert(new_message(conversation, user.id, "hi"), None).unwrap()
    }

    fn is_spent(&self, api_key: i64, seconds: usize) -> bool {
        match self.read(|read| check_budget(read, api_key, &at(seconds))) {
            Ok(()) => false,
            Err(error) if error.kind() == Kind::OverBudget => true,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_key_signs_its_owner_in() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    let key = rig.insert_key(new_key(&ann, "a")).unwrap();
    rig.insert_key(NewApiKey {
        expires_at: Some(at(9)),
        ..new_key(&bob, "b")
    })
    .unwrap();
    let find = |hash: &str| rig.read(|read| find_key_holder(read, hash)).unwrap();
    let holder = find("the hash of a").unwrap();
    assert_eq!((holder.user.id, holder.api_key, holder.expires_at), (ann.id, key, None));
    assert_eq!(find("the hash of b").unwrap().expires_at, Some(at(9)));
    assert!(find("the hash of c").is_none());
    rig.write(move |tx| touch_api_key(tx, key, &at(5))).unwrap();
    let listed = rig.read(|read| list_api_keys(read, ann.id, &at(0))).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].name.as_str(), listed[0].last_used_at.clone()),
        ("a", Some(at(5)))
    );
    let delete = |user: &User| {
        let id = user.id;
        rig.write(move |tx| delete_api_key(tx, id, "a"))
            .map_err(|error| error.kind())
    };
    assert_eq!(delete(&bob), Err(Kind::NotFound));
    assert_eq!(delete(&ann), Ok(()));
    assert_eq!(delete(&ann), Err(Kind::NotFound));
    assert!(find("the hash of a").is_none() && find("the hash of b").is_some());
}

#[test]
fn a_user_has_so_many_keys_and_no_more() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    for number in 0..100 {
        rig.insert_key(new_key(&ann, &number.to_string())).unwrap();
    }
    let refused = rig.insert_key(new_key(&ann, "another")).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict);
    rig.insert_key(new_key(&bob, "bobs")).unwrap();
    let id = ann.id;
    rig.write(move |tx| delete_api_keys(tx, id)).unwrap();
    rig.insert_key(new_key(&ann, "another")).unwrap();
    assert_eq!(rig.value::<i64>("SELECT count(*) FROM api_keys"), 2);
}

#[test]
fn a_budget_is_one_keys_and_one_months() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let key = |name: &str, budget| {
        let new = NewApiKey {
            budget_usd_month: budget,
            ..new_key(&ann, name)
        };
        rig.insert_key(new).unwrap()
    };
    let (small, large, free) = (key("small", Some(1.0)), key("large", Some(9.0)), key("free", None));
    for key in [small, large, free] {
        assert!(!rig.is_spent(key, 0), "nothing is spent");
        rig.spend_by(&ann, key, 0.75, 100);
        rig.spend_by(&ann, key, 0.25, 200);
    }
    // What comes to the budget is over it: the next would be.
    assert_eq!(
        [small, large, free].map(|key| rig.is_spent(key, 100)),
        [true, false, false]
    );
    assert!(!rig.is_spent(small, 101), "of an earlier month");
    assert!(!rig.is_spent(99, 0), "deleted meanwhile");
    let spent = |seconds| {
        let keys = rig.read(|read| list_api_keys(read, ann.id, &at(seconds))).unwrap();
        keys.into_iter().map(|key| key.spent_usd_month).collect::<Vec<_>>()
    };
    assert_eq!((spent(0), spent(200)), (vec![1.0; 3], vec![0.25; 3]));
}

#[test]
fn what_was_spent_stays_spent_when_its_key_goes() {
    let rig = Rig::new();
    let ann = rig.user("ann");
    let key = rig.insert_key(new_key(&ann, "a")).unwrap();
    rig.spend_by(&ann, key, 0.5, 1);
    let id = ann.id;
    rig.write(move |tx| delete_api_key(tx, id, "a")).unwrap();
    // A reply that was being written.
    rig.spend_by(&ann, key, 0.25, 2);
    assert_eq!(
        rig.value::<f64>("SELECT sum(price) FROM usage_details WHERE api_key_id IS NULL"),
        0.75
    );
}
