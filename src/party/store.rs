//! Values that protocols keep with a party, by type: the party does not know what they are.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// Values that are made at first use and shared with the parties beside this one.
#[derive(Default, Clone)]
pub(super) struct Shared(Arc<Mutex<Values>>);

impl Shared {
    pub(super) fn get<T: Default + Any + Send + Sync>(&self) -> Arc<T> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default()).clone();
        value.downcast().expect("a value lies under its own type")
    }
}

/// Public choices, the same at all parties. A party made beside this one begins with them.
#[derive(Default, Clone)]
pub(super) struct Settings(Values);

impl Settings {
    pub(super) fn set<T: Any + Send + Sync>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value that was set, else the default.
    pub(super) fn get<T: Copy + Default + Any>(&self) -> T {
        self.0.get(&TypeId::of::<T>()).map_or_else(T::default, |value| *value.downcast_ref().expect("a value lies under its own type"))
    }
}
