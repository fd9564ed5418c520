//! [`Alarms`] against a model that keeps the earliest deadline of each key.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::Alarms;

#[derive(Clone, Debug)]
enum Step {
    Set(u8, Option<u16>),
    Remove(u8),
    Pop(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, prop_oneof![4 => (0..50_u16).prop_map(Some), 1 => Just(None)])
            .prop_map(|(key, deadline)| Step::Set(key, deadline)),
        1 => (0..6_u8).prop_map(Step::Remove),
        2 => (0..50_u16).prop_map(Step::Pop),
    ]
}

proptest! {
    #[test]
    fn alarms_are_those_of_the_model(steps in vec(step(), 0..80)) {
        let (mut alarms, mut model) = (Alarms::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Set(key, deadline) => {
                    alarms.set(key, deadline);
                    if let Some(deadline) = deadline {
                        let alarm = model.entry(key).or_insert(deadline);
                        *alarm = deadline.min(*alarm);
                    }
                }
                Step::Remove(key) => {
                    alarms.remove(&key);
                    model.remove(&key);
                }
                Step::Pop(now) => {
                    // In the order of time, each key once.
                    let mut due: Vec<_> = model.iter().map(|(key, at)| (*at, *key)).filter(|(at, _)| *at <= now).collect();
                    due.sort_unstable();
                    model.retain(|_, at| *at > now);
                    let popped: Vec<_> = std::iter::from_fn(|| alarms.pop(now)).collect();
                    prop_assert_eq!(popped, due.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(alarms.next(), model.values().min().copied());
        }
    }
}

/// However often a deadline changes, a key has one alarm.
#[test]
fn a_key_has_one_alarm() {
    let mut alarms = Alarms::new();
    for at in (0..10_000_u32).rev() {
        alarms.set('a', Some(at));
        alarms.set('a', Some(at + 7));
    }
    assert_eq!((alarms.pop(u32::MAX), alarms.pop(u32::MAX)), (Some('a'), None));
}
