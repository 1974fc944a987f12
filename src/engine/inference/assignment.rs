//! Which provider runs how many nodes of a session, told by the runtime itself.
//!
//! `ort` offers these calls only to programs that refuse runtimes before 1.24; ours takes older ones. So
//! their slots in the runtime's table of functions are read here, after a look at its version.
#![allow(unsafe_code)]

use crate::engine::inference::library::ApiTable;
use ort::AsPointer;
use ort::session::Session as OrtSession;
use ort::sys::{OrtSession as RawSession, OrtStatusPtr};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_void};

/// The session setting without which the runtime keeps no record.
pub const SETTING: &str = "session.record_ep_graph_assignment_info";

/// The first API that has the calls.
pub const API: u32 = 24;

/// Slots of the table since API 24; the table only ever grows at its end.
const GET_INFO: usize = 407;
const GET_PROVIDER: usize = 408;
const GET_NODES: usize = 409;

type GetInfo = unsafe extern "system" fn(
    *const RawSession,
    *mut *const *const c_void,
    *mut usize,
) -> OrtStatusPtr;
type GetProvider = unsafe extern "system" fn(*const c_void, *mut *const c_char) -> OrtStatusPtr;
type GetNodes =
    unsafe extern "system" fn(*const c_void, *mut *const *const c_void, *mut usize) -> OrtStatusPtr;

/// Nodes by provider.
pub type Nodes = BTreeMap<String, usize>;

/// The nodes of each provider; `None`: the runtime does not say. `api` is the table of [`API`].
pub fn nodes(session: &OrtSession, api: &ApiTable) -> Option<Nodes> {
    // SAFETY: the table is of API 24 or later, whose slots have these types (onnxruntime_c_api.h).
    let (info, provider, members) = unsafe {
        (
            api.slot::<GetInfo>(GET_INFO),
            api.slot::<GetProvider>(GET_PROVIDER),
            api.slot::<GetNodes>(GET_NODES),
        )
    };
    let mut nodes = Nodes::new();
    // SAFETY: the session is alive; what it gives belongs to it, and is read before this borrow of it
    // ends. Every call either fills its outputs or gives a status, which `told` takes.
    unsafe {
        let (mut groups, mut count) = (std::ptr::null(), 0);
        told(info(session.ptr(), &raw mut groups, &raw mut count))?;
        for at in 0..count {
            let group = *groups.add(at);
            let (mut name, mut list, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            told(provider(group, &raw mut name))?;
            told(members(group, &raw mut list, &raw mut size))?;
            if !name.is_null() {
                let name = CStr::from_ptr(name).to_string_lossy().into_owned();
                *nodes.entry(name).or_default() += size;
            }
        }
    }
    Some(nodes)
}

/// # Safety
/// The status comes from the runtime and nobody else has it.
unsafe fn told(status: OrtStatusPtr) -> Option<()> {
    // SAFETY: as above; it is released there.
    unsafe { ort::Error::result_from_status(status) }.ok()
}
