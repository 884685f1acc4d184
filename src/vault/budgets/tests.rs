//! Callers that take, hold and give back.

use super::*;
use crate::domain::seconds;

const LIMITS: CallerLimits = CallerLimits {
    answer_bytes: 100,
    answers_bytes: 400,
    disclosures_per_minute: 1_000,
    writes_per_minute: 1_000,
};
const START: Timestamp = Timestamp::from_millis(1_764_000_000_000);

#[test]
fn one_caller_holds_a_quarter_of_the_memory_and_all_callers_all_of_it() {
    let budgets = Arc::new(Budgets::default());
    let [one, others @ ..] = ["a", "b", "c", "d", "e"].map(Actor::host);
    let mut first = budgets.answer(one.clone());
    first.grow(60, &LIMITS).unwrap();
    let mut second = budgets.answer(one.clone());
    assert!(second.grow(60, &LIMITS).is_err(), "its quarter");
    second.grow(40, &LIMITS).unwrap();
    let mut held = Vec::new();
    for other in others {
        let mut answer = budgets.answer(other);
        if answer.grow(100, &LIMITS).is_ok() {
            held.push(answer);
        }
    }
    assert_eq!((held.len(), budgets.held_bytes(), budgets.refused()), (3, 400, 2));
    drop((first, second, held));
    assert!(budgets.held_bytes() == 0 && lock(&budgets.held).by_caller.is_empty());
    budgets.answer(one).grow(100, &LIMITS).unwrap();
}

#[test]
fn a_caller_gets_one_answer_of_any_size_and_no_second_one_beside_it() {
    let budgets = Arc::new(Budgets::default());
    let [one, others @ ..] = ["a", "b", "c", "d"].map(Actor::host);
    let mut large = budgets.answer(one.clone());
    large.fill(350, &LIMITS).unwrap();
    assert!(budgets.answer(one.clone()).fill(1, &LIMITS).is_err());
    let mut held = Vec::new();
    for other in others {
        let mut answer = budgets.answer(other);
        answer.fill(100, &LIMITS).unwrap();
        held.push(answer);
    }
    assert!(budgets.answer(Actor::host("e")).fill(1, &LIMITS).is_err(), "all answers together");
    assert_eq!(budgets.held_bytes(), 400);
    drop((large, held));
    assert_eq!(budgets.held_bytes(), 0);
    budgets.answer(one).fill(1, &LIMITS).unwrap();
}

#[test]
fn what_ends_gives_back_its_own_part_and_not_what_the_caller_holds_besides() {
    let (budgets, one) = (Arc::new(Budgets::default()), Actor::host("a"));
    let [mut first, mut second, mut third] = [(); 3].map(|()| budgets.answer(one.clone()));
    first.grow(60, &LIMITS).unwrap();
    second.grow(40, &LIMITS).unwrap();
    drop(first);
    assert!(third.grow(61, &LIMITS).is_err(), "40 are still held");
    third.grow(60, &LIMITS).unwrap();
    let mut exports: Vec<_> = (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
    exports.pop();
    exports.push(budgets.export(one.clone()).unwrap());
    assert!(budgets.export(one).is_err(), "the others still run");
}

#[test]
fn a_minute_has_its_disclosures_and_the_next_one_its_own() {
    let (budgets, one, other) = (Budgets::default(), Actor::host("a"), Actor::host("b"));
    let take = |caller, count, scarce, now| budgets.disclose(caller, count, &LIMITS, scarce, now);
    take(&one, 900, false, START).unwrap();
    let refused = take(&one, 101, false, START.plus(seconds(20))).unwrap_err();
    assert!(matches!(refused, Error::TooManyDisclosures { retry_after_secs: 40 }), "{refused:?}");
    take(&one, 100, false, START.plus(seconds(20))).unwrap();
    take(&other, 1_000, false, START.plus(seconds(20))).unwrap();
    take(&one, 1_000, false, START.plus(minutes(1))).unwrap();
    assert!(take(&one, 1, false, START.plus(minutes(1))).is_err());
    assert!(take(&one, 1, false, START).is_ok(), "a clock that was set back holds nobody back");
    take(&other, 5_000, false, START.plus(minutes(5))).unwrap();
    // A nearly full disk: the noisiest first.
    take(&one, 10, true, START.plus(minutes(9))).unwrap();
    assert!(take(&one, 1, true, START.plus(minutes(9))).is_err());
}

#[test]
fn a_write_counts_its_events_and_its_bytes_beside_disclosures_and_logins() {
    let (budgets, one) = (Budgets::default(), Actor::host("a"));
    let write = |size, scarce| budgets.write(&one, size, &LIMITS, scarce, START);
    write((999, WRITE_BYTES - 1), false).unwrap();
    assert!(write((1, WRITE_BYTES), false).is_err());
    write((1, 0), false).unwrap();
    let refused = write((1, 0), false).unwrap_err();
    assert!(matches!(refused, Error::TooManyWrites { retry_after_secs: 60 }), "{refused:?}");
    budgets.disclose(&one, 1_000, &LIMITS, false, START).unwrap();
    for n in 0..1_001 {
        assert_eq!(budgets.session(&one, &LIMITS, false, START).is_ok(), n < 1_000, "{n}");
    }
    let other = Actor::host("b");
    budgets.write(&other, (10, 0), &LIMITS, true, START).unwrap();
    assert!(budgets.write(&other, (1, 0), &LIMITS, true, START).is_err(), "a nearly full disk");
}

/// A head counts from its arrival, and its body may come half a minute later. Each such request began a new minute, so
/// that a caller with a few of them at hand had no limit.
#[test]
fn a_request_that_began_before_the_minute_takes_from_it_too() {
    let (budgets, one) = (Budgets::default(), Actor::host("a"));
    let write = |events, now| budgets.write(&one, (events, 0), &LIMITS, false, now);
    write(1_000, START).unwrap();
    for early in [Duration::from_millis(1), seconds(30), seconds(59)] {
        let refused = write(1, START.minus(early)).unwrap_err();
        assert!(matches!(refused, Error::TooManyWrites { retry_after_secs: 60.. }), "{refused:?}");
        write(1, START).unwrap_err();
    }
    write(1, START.minus(minutes(1))).unwrap();
}

/// A budget forgets what a caller took once its minute is over, or a crowd of callers would fill the memory.
#[test]
fn nothing_is_remembered_of_a_minute_that_is_over_and_nothing_forgotten_of_one_that_runs() {
    let budgets = Budgets::default();
    let take = |caller: &str, count, now| budgets.disclose(&Actor::host(caller), count, &LIMITS, false, now);
    for number in 0..500 {
        take(&format!("early{number}"), 1, START).unwrap();
    }
    take("late", 1_000, START.plus(seconds(30))).unwrap();
    assert_eq!(lock(&budgets.taken).len(), 501);
    // The last moment of their minute, by a new caller: all stay.
    take("new", 1, START.plus(Duration::from_millis(59_999))).unwrap();
    assert_eq!(lock(&budgets.taken).len(), 502);
    take("newer", 1, START.plus(minutes(1))).unwrap();
    assert_eq!(lock(&budgets.taken).len(), 3, "late, new and newer");
    let refused = take("late", 1, START.plus(Duration::from_millis(89_500))).unwrap_err();
    assert!(matches!(refused, Error::TooManyDisclosures { retry_after_secs: 1 }), "{refused:?}");
    assert_eq!(budgets.refused(), 1);
    take("late", 1, START.plus(seconds(90))).unwrap();
}

#[test]
fn a_small_budget_is_never_none_on_a_nearly_full_disk() {
    let limits = CallerLimits { disclosures_per_minute: 50, ..LIMITS };
    let (budgets, one) = (Budgets::default(), Actor::host("a"));
    budgets.disclose(&one, 1, &limits, true, START).unwrap();
    assert!(budgets.disclose(&one, 1, &limits, true, START).is_err());
    assert!(budgets.disclose(&one, 49, &limits, false, START).is_ok(), "all of it once there is room");
    assert!(budgets.disclose(&one, 1, &limits, false, START).is_err());
}

#[test]
fn one_caller_cannot_take_every_export() {
    let (budgets, one) = (Arc::new(Budgets::default()), Actor::host("a"));
    let held: Vec<_> = (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
    assert!(budgets.export(one.clone()).is_err());
    assert!(budgets.export(Actor::host("b")).is_ok());
    assert_eq!(budgets.refused(), 1);
    drop(held);
    assert!(lock(&budgets.exports).is_empty());
    let again: Vec<_> = (0..EXPORTS_PER_CALLER).map(|_| budgets.export(one.clone()).unwrap()).collect();
    assert!(budgets.export(one.clone()).is_err(), "as many as before, and no more");
    drop(again);
}
