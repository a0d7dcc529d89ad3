//! What a client knows of the things that it writes.
//!
//! A change without an answer may have happened or not, so a thing is known as the states that it
//! may be in. An answer, and what is read after a restart, leave fewer; none left is a lost or a
//! half-made change.

use std::fmt::Debug;

/// The states that one thing may be in.
#[derive(Clone, Debug)]
pub(crate) struct Known<S>(Vec<S>);

impl<S: Clone + PartialEq + Debug> Known<S> {
    pub(crate) fn new(state: S) -> Self {
        Self(vec![state])
    }

    /// A change that was answered: `outcome` says what each state becomes, if it allows the answer.
    pub(crate) fn answered(&mut self, what: &dyn Debug, outcome: impl Fn(&S) -> Option<S>) {
        let next: Vec<S> = self.0.iter().filter_map(outcome).collect();
        assert!(!next.is_empty(), "{what:?} was answered, which {:?} does not allow", self.0);
        self.0 = next;
    }

    /// A change that was not answered.
    pub(crate) fn unanswered(&mut self, outcome: impl Fn(&S) -> S) {
        let changed: Vec<S> = self.0.iter().map(outcome).collect();
        for state in changed {
            if !self.0.contains(&state) {
                self.0.push(state);
            }
        }
    }

    /// What was read: only states that look like it remain.
    pub(crate) fn seen(&mut self, what: &dyn Debug, is_like: impl Fn(&S) -> bool) {
        let before = self.0.clone();
        self.0.retain(is_like);
        assert!(!self.0.is_empty(), "{what:?} was read; possible was only {before:?}");
    }

    pub(crate) fn any(&self, condition: impl Fn(&S) -> bool) -> bool {
        self.0.iter().any(condition)
    }

    /// Applies what is certain to every state.
    pub(crate) fn each(&mut self, change: impl Fn(&mut S)) {
        self.0.iter_mut().for_each(change);
    }
}

/// A city and the tokens of its users.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CityState {
    /// `None` while there is no such city; else whether it is active.
    pub(crate) active: Option<bool>,
    /// For each token that is known, whether it still works when the city is active.
    pub(crate) alive: Vec<bool>,
}

/// A change of a city or its tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CityChange {
    Create,
    Pause,
    Activate,
    Remove,
    RevokeCity,
    /// One of the two users of every city: token `n` belongs to user `n % 2`.
    RevokeUser(usize),
    RevokeToken(usize),
    /// A token for the next user.
    Issue,
}

impl CityChange {
    /// The status of the answer in this state, and the state afterwards.
    pub(crate) fn outcome(self, before: &CityState) -> (u16, CityState) {
        let mut after = before.clone();
        let Some(active) = before.active else {
            let status = match self {
                Self::Create => {
                    after.active = Some(true);
                    200
                }
                // Works for a token whose city is gone.
                Self::RevokeToken(index) => {
                    after.alive[index] = false;
                    200
                }
                _ => 404,
            };
            return (status, after);
        };
        match self {
            Self::Create => return (409, after),
            Self::Issue if !active => return (403, after),
            Self::Issue => after.alive.push(true),
            Self::Pause => after.active = Some(false),
            Self::Activate => after.active = Some(true),
            Self::Remove => {
                after.active = None;
                after.alive.fill(false);
            }
            Self::RevokeCity => after.alive.fill(false),
            Self::RevokeUser(user) => {
                for (_, alive) in after.alive.iter_mut().enumerate().filter(|(n, _)| n % 2 == user)
                {
                    *alive = false;
                }
            }
            Self::RevokeToken(index) => after.alive[index] = false,
        }
        (200, after)
    }
}
