//! The memory of a configured instance, made part of its component.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use wasmtime::{
    Store,
    component::{Instance, Lift, WasmList},
};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use crate::{state::State, time};

/// A component that is about to be configured and snapshotted.
pub(crate) struct Plan<'a> {
    wizer: Wizer,
    context: ComponentContext<'a>,
    instrumented: Vec<u8>,
}

impl<'a> Plan<'a> {
    /// `None` if the component is of a kind that cannot be snapshotted; then each instance configures itself.
    pub(crate) fn new(component: &'a [u8]) -> Option<Self> {
        let mut wizer = Wizer::new();
        wizer.keep_init_func(true);
        match wizer.instrument_component(component) {
            Ok((context, instrumented)) => Some(Self { wizer, context, instrumented }),
            Err(error) => {
                tracing::debug!("no snapshot: {error:#}");
                None
            }
        }
    }

    /// The component whose instance can be looked into.
    pub(crate) fn instrumented(&self) -> &[u8] {
        &self.instrumented
    }

    /// Makes the component that starts with the memory of `instance`.
    pub(crate) fn take(self, store: &mut Store<State>, instance: Instance) -> Option<Vec<u8>> {
        store.set_fuel(u64::MAX).ok()?;
        // All of the memory, which the limits of the instance bound.
        store.set_hostcall_fuel(usize::MAX);
        time::begin(store, READ_TIME);
        let mut reader = Reader { store, instance };
        let snapshot = pin!(self.wizer.snapshot_component(&self.context, &mut reader));
        // The reader below never waits, so one poll is the whole way.
        match snapshot.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(component)) => Some(component),
            Poll::Ready(Err(error)) => {
                tracing::debug!("no snapshot: {error:#}");
                None
            }
            Poll::Pending => None,
        }
    }
}

/// Time to read the memory out.
const READ_TIME: Duration = Duration::from_secs(10);

/// Looks into an instrumented instance. Runs in the child process only, where a panic costs that one plugin.
struct Reader<'a> {
    store: &'a mut Store<State>,
    instance: Instance,
}

impl Reader<'_> {
    fn read<R: Lift + 'static>(&mut self, instance: &str, func: &str) -> R {
        let outer = self.instance.get_export_index(&mut *self.store, None, instance);
        let index = self.instance.get_export_index(&mut *self.store, outer.as_ref(), func);
        let index = index.expect("the instrumentation exports an accessor for each item");
        self.instance
            .get_typed_func::<(), (R,)>(&mut *self.store, index)
            .and_then(|func| func.call(&mut *self.store, ()))
            .expect("an accessor only reads")
            .0
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.read(instance, func);
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func)
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func)
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read::<f32>(instance, func).to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read::<f64>(instance, func).to_bits()
    }
}
