//! Joins: children with scopes of their own, polled in turn, so that their messages share rounds.

use super::{
    party::Party,
    scope::{Scope, Tag},
};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// A future with its scope, swapped in while it is polled.
struct Child<'p, F: Future> {
    party: &'p Party,
    scope: Option<Scope>,
    future: Pin<Box<F>>,
    output: Option<F::Output>,
}

impl<'p, F: Future> Child<'p, F> {
    fn new(party: &'p Party, future: F, tag: Tag) -> Self {
        let scope = party.lock().scope.child(&party.keys, tag);
        Self { party, scope: Some(scope), future: Box::pin(future), output: None }
    }

    /// One turn; true when the output is there.
    fn turn(&mut self, context: &mut Context<'_>) -> bool {
        if self.output.is_some() {
            return true;
        }
        let Some(mut scope) = self.scope.take() else { return false };
        scope.waiting = false;
        let outer = std::mem::replace(&mut self.party.lock().scope, scope);
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            self.output = Some(output);
        }
        self.scope = Some(std::mem::replace(&mut self.party.lock().scope, outer));
        self.output.is_some()
    }

    /// The parent's clock catches up.
    fn end(&mut self) -> Option<F::Output> {
        let mut state = self.party.lock();
        if let Some(scope) = &self.scope {
            state.scope.clock = state.scope.clock.max(scope.clock);
        }
        self.output.take()
    }
}

/// Runs both; independent messages share rounds.
pub async fn join<A: Future, B: Future>(p: &Party, a: A, b: B) -> (A::Output, B::Output) {
    let mut a = Child::new(p, a, Tag::default());
    let mut b = Child::new(p, b, Tag::default());
    std::future::poll_fn(|context| {
        let (a, b) = (a.turn(context), b.turn(context));
        if a && b { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (a.end().expect("it is done"), b.end().expect("it is done"))
}

/// Runs all; independent messages share rounds.
pub async fn join_all<F: Future>(p: &Party, futures: Vec<F>) -> Vec<F::Output> {
    let mut children: Vec<_> = futures.into_iter().map(|future| Child::new(p, future, Tag::default())).collect();
    std::future::poll_fn(|context| {
        let mut done = true;
        for child in &mut children {
            done &= child.turn(context);
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    children.iter_mut().map(|child| child.end().expect("all are done")).collect()
}

/// Runs a future in a scope with other public marks: another lead, or a layer that its costs belong to.
pub async fn tagged<F: Future>(p: &Party, tag: Tag, future: F) -> F::Output {
    let began = p.lock().scope.clock;
    let mut child = Child::new(p, future, tag);
    std::future::poll_fn(|context| {
        let turn = tag.layer.and_then(|layer| Some((layer, p.turn_begins()?)));
        let done = child.turn(context);
        if let Some((layer, began)) = turn {
            p.turn_ends(layer, began);
        }
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    if let (Some(layer), Some(scope)) = (tag.layer, &child.scope) {
        p.layer_ends(layer, (began, scope.clock));
    }
    child.end().expect("the child is done")
}
