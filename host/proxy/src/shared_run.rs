//! A run that its request, its bodies and its end share.

use std::{
    any::Any,
    cell::{Cell, Ref, RefCell, RefMut},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
};

use edgewit_chain::{Phases, Run};
use edgewit_model::PluginName;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    away::{Away, Errand},
    finish::Finish,
    lane::Fate,
};

/// A run that its request, its bodies and its end share.
///
/// Almost always it is here, and a step of it is a plain call. A step in which a slow filter is asked is done on the
/// lane: the run goes there, and whoever wants it meanwhile waits in turn. It comes back even if nobody waits any more.
pub(crate) struct SharedRun {
    place: RefCell<Place>,
    /// The one permit is there while the run is here and nobody waits for it.
    turn: Semaphore,
    /// The end of the request, if it came while the run was away.
    end: Cell<Option<Box<Finish>>>,
    away: Rc<Away>,
}

/// Where a run is.
enum Place {
    Here(Run),
    Away,
    /// A filter panicked on the lane.
    Lost,
}

/// What came of a step on the lane; `Err`: it panicked.
type Done<T> = Result<T, Box<dyn Any + Send>>;

impl SharedRun {
    pub(crate) fn new(run: Run, away: &Rc<Away>) -> Rc<Self> {
        Rc::new(Self {
            place: RefCell::new(Place::Here(run)),
            turn: Semaphore::new(1),
            end: Cell::default(),
            away: Rc::clone(away),
        })
    }

    /// The run, which must be here: before a body streams, after [`SharedRun::here`], or after a step.
    pub(crate) fn borrow(&self) -> Ref<'_, Run> {
        self.try_borrow().expect(HERE)
    }

    /// The same, to change it.
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Run> {
        RefMut::filter_map(self.place.borrow_mut(), Place::run_mut).ok().expect(HERE)
    }

    /// The run, if it is here and nobody changes it.
    pub(crate) fn try_borrow(&self) -> Option<Ref<'_, Run>> {
        Ref::filter_map(self.place.try_borrow().ok()?, Place::run).ok()
    }

    /// Waits until it is here. It stays until the next await.
    pub(crate) async fn here(&self) {
        if self.turn.available_permits() == 0 {
            drop(self.turn.acquire().await);
        }
    }

    /// The run for a step in these phases, if that can be done at once.
    pub(crate) fn at_hand(&self, phases: Phases) -> Option<RefMut<'_, Run>> {
        if self.turn.available_permits() == 0 {
            return None;
        }
        let run = self.borrow_mut();
        run.slow(phases).is_none().then_some(run)
    }

    /// Does a step in these phases: here, or on the lane if a slow filter may be asked in it. Then the run is here again.
    pub(crate) async fn step<T: Send + 'static>(
        self: &Rc<Self>,
        phases: Phases,
        step: impl FnOnce(&mut Run) -> T + Send + 'static,
    ) -> T {
        match self.at_hand(phases) {
            Some(mut run) => step(&mut run),
            None => self.step_in_turn(phases, step).await,
        }
    }

    async fn step_in_turn<T: Send + 'static>(
        self: &Rc<Self>,
        phases: Phases,
        step: impl FnOnce(&mut Run) -> T + Send + 'static,
    ) -> T {
        let turn = self.turn.acquire().await;
        let Some(plugin) = self.set_aside(phases) else { return step(&mut self.borrow_mut()) };
        if let Ok(turn) = turn {
            turn.forget(); // until the run comes back
        }
        let done = self.send(&plugin, step).await.expect("every job is done");
        self.here().await;
        done.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The plugin for which a step in these phases goes to the lane, if it still does.
    fn set_aside(&self, phases: Phases) -> Option<PluginName> {
        let run = self.borrow();
        let link = run.slow(phases)?;
        link.observer.set_aside();
        Some(link.filter.plugin().clone())
    }

    /// Sends the run to the lane, for one step.
    fn send<T: Send + 'static>(
        self: &Rc<Self>,
        plugin: &PluginName,
        step: impl FnOnce(&mut Run) -> T + Send + 'static,
    ) -> oneshot::Receiver<Done<T>> {
        let errand = self.away.leave(self, self.take());
        let (tell, told) = oneshot::channel();
        let job = Box::new(move |fate| {
            let done = carry_out(errand, fate, step);
            let _ = tell.send(done); // the client may have gone
        });
        if let Err(job) = self.away.lane().send(plugin, job) {
            job(Fate::Refused);
        }
        told
    }

    fn take(&self) -> Run {
        let taken = match self.place.replace(Place::Away) {
            Place::Here(run) => Some(run),
            Place::Away | Place::Lost => None,
        };
        taken.expect(HERE)
    }

    /// Whether it is away.
    pub(crate) fn is_away(&self) -> bool {
        self.place.try_borrow().is_ok_and(|place| matches!(*place, Place::Away))
    }

    /// Keeps the end of its request until it comes back.
    pub(crate) fn end_later(&self, end: Box<Finish>) {
        self.end.set(Some(end));
    }

    /// It is back; `None`: it was lost.
    pub(crate) fn came_back(&self, run: Option<Run>) {
        self.place.replace(run.map_or(Place::Lost, Place::Here));
        self.turn.add_permits(1);
        drop(self.end.take());
    }
}

impl Place {
    fn run(&self) -> Option<&Run> {
        match self {
            Place::Here(run) => Some(run),
            Place::Away | Place::Lost => None,
        }
    }

    fn run_mut(&mut self) -> Option<&mut Run> {
        match self {
            Place::Here(run) => Some(run),
            Place::Away | Place::Lost => None,
        }
    }
}

/// Does the step, then lets the run go home, before anybody hears what came of it.
fn carry_out<T>(mut errand: Errand, fate: Fate, step: impl FnOnce(&mut Run) -> T) -> Done<T> {
    let done = catch_unwind(AssertUnwindSafe(|| {
        let run = errand.run().expect(HERE);
        match fate {
            Fate::Done => step(run),
            Fate::Refused => run.refusing_slow(step),
        }
    }));
    if done.is_err() {
        errand.lose();
    }
    done
}

const HERE: &str = "the run is here";
