//! Exports of Windows kernel modules that a driver may import, with the first version that has
//! them, and those that ask for a second look under HVCI.
//!
//! Source: the "Minimum supported client" lines of Microsoft's driver reference. The list is what
//! drivers of this tool import plus what native modules by other tools commonly do; a name that is
//! not here is not wrong, only unknown.

use std::fmt;

/// Versions of Windows, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Os {
    /// Windows 2000 to Server 2003.
    Windows2000,
    /// Windows Vista, Server 2008.
    Vista,
    /// Windows 7, Server 2008 R2.
    Windows7,
    /// Windows 8, Server 2012.
    Windows8,
    /// Windows 10, Server 2016.
    Windows10,
    /// Windows 10 version 2004, Server 2022.
    Windows10Version2004,
}

impl fmt::Display for Os {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Os::Windows2000 => "Windows 2000",
            Os::Vista => "Windows Vista",
            Os::Windows7 => "Windows 7",
            Os::Windows8 => "Windows 8",
            Os::Windows10 => "Windows 10",
            Os::Windows10Version2004 => "Windows 10 version 2004",
        })
    }
}

/// One exported function.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// Module file name, lower case.
    pub module: &'static str,
    /// Function.
    pub name: &'static str,
    /// First version of Windows that has it.
    pub since: Os,
}

/// An import that may ask for executable memory.
pub(super) struct Risk {
    pub(super) name: &'static str,
    pub(super) why: &'static str,
}

macro_rules! exports {
    ($($module:literal { $($since:ident: $($name:ident)*;)* })*) => {
        /// All known exports.
        pub const EXPORTS: &[Export] = &[$($($(
            Export { module: $module, name: stringify!($name), since: Os::$since },
        )*)*)*];
    };
}

#[rustfmt::skip] // one row per module and version
exports! {
    "fwpkclnt.sys" {
        Vista: FwpmEngineOpen0 FwpmEngineClose0 FwpmSubLayerAdd0 FwpmCalloutAdd0 FwpmFilterAdd0
            FwpmFilterDeleteById0 FwpsCalloutUnregisterById0 FwpsFlowAssociateContext0
            FwpsFlowRemoveContext0 FwpsInjectionHandleCreate0 FwpsInjectionHandleDestroy0
            FwpsQueryPacketInjectionState0 FwpsAllocateCloneNetBufferList0
            FwpsFreeCloneNetBufferList0;
        Windows7: FwpsCalloutRegister1 FwpsAcquireClassifyHandle0 FwpsReleaseClassifyHandle0
            FwpsAcquireWritableLayerDataPointer0 FwpsApplyModifiedLayerData0;
        Windows8: FwpsInjectMacSendAsync0 FwpsRedirectHandleCreate0 FwpsRedirectHandleDestroy0
            FwpsQueryConnectionRedirectState0;
    }
    "netio.sys" {
        Vista: NmrRegisterClient NmrDeregisterClient NmrWaitForClientDeregisterComplete
            NmrClientAttachProvider NmrClientDetachProviderComplete NmrRegisterProvider
            NmrDeregisterProvider NmrWaitForProviderDeregisterComplete
            NmrProviderDetachClientComplete;
    }
    "ntoskrnl.exe" {
        Windows2000: DbgPrint RtlQueryRegistryValues RtlInitUnicodeString RtlCopyUnicodeString
            MmGetSystemRoutineAddress ZwOpenKey ZwQueryValueKey ZwCreateKey ZwSetValueKey ZwClose
            ExFreePoolWithTag ExFreePool IoCreateDevice IoDeleteDevice IoCreateSymbolicLink
            IoDeleteSymbolicLink IofCompleteRequest IoAllocateWorkItem IoFreeWorkItem
            IoQueueWorkItem KeBugCheckEx KeInitializeEvent KeSetEvent KeResetEvent KeClearEvent
            KeWaitForSingleObject KeInitializeSpinLock KeAcquireSpinLockRaiseToDpc
            KeReleaseSpinLock KeGetCurrentThread PsGetCurrentProcessId PsGetCurrentThreadId
            ObfDereferenceObject ObReferenceObjectByHandle ObOpenObjectByPointer
            ZwSetSecurityObject RtlCompareMemory memcpy memmove memset memcmp strlen strncmp
            wcslen RtlRandomEx ExAllocatePoolWithTag ExEventObjectType IoFileObjectType
            IoReleaseCancelSpinLock KeDelayExecutionThread KfRaiseIrql KeLowerIrql ObCloseHandle
            PsGetCurrentProcess PsGetProcessCreateTimeQuadPart PsReferencePrimaryToken
            PsDereferencePrimaryToken RtlPcToFileHeader SeAccessCheck SeCaptureSubjectContext
            SeReleaseSubjectContext SeQueryAuthenticationIdToken SeTokenIsAdmin ZwCreateFile
            ZwLoadDriver ZwUnloadDriver ZwQuerySystemInformation ZwReadFile ZwEnumerateKey
            PsGetCurrentThread RtlMultiByteToUnicodeN IoAllocateMdl IoFreeMdl
            MmBuildMdlForNonPagedPool MmMapLockedPagesSpecifyCache MmUnmapLockedPages
            KeStackAttachProcess KeUnstackDetachProcess ObfReferenceObject
            PsSetCreateProcessNotifyRoutine ZwCreateSection MmMapViewInSystemSpace
            MmUnmapViewInSystemSpace MmProbeAndLockPages MmUnlockPages;
        Vista: DbgPrintEx __C_specific_handler __chkstk EtwRegister EtwUnregister EtwWrite
            KeQueryActiveProcessorCount KeGetCurrentIrql RtlCaptureStackBackTrace
            KeExpandKernelStackAndCalloutEx;
        Windows7: EtwWriteTransfer EtwProviderEnabled KeQueryActiveProcessorCountEx
            KeGetCurrentProcessorNumberEx KeQueryMaximumProcessorCountEx
            KeSetSystemAffinityThreadEx KeRevertToUserAffinityThreadEx;
        Windows8: EtwSetInformation RtlQueryRegistryValuesEx KeQuerySystemTimePrecise
            KeQueryInterruptTimePrecise KeQueryUnbiasedInterruptTimePrecise;
        Windows10: PsGetThreadCreateTime;
        Windows10Version2004: ExAllocatePool2;
    }
    "hal.dll" {
        Windows2000: KeQueryPerformanceCounter KeStallExecutionProcessor;
    }
}

#[rustfmt::skip] // one row, one line
pub(super) const RISKS: &[Risk] = &[
    Risk { name: "ExAllocatePool", why: "gives executable memory (0xC4/0x2000); use ExAllocatePool2" },
    Risk { name: "ExAllocatePoolWithTag", why: "gives executable memory unless asked for NonPagedPoolNx (0xC4/0x2000)" },
    Risk { name: "ExAllocatePoolWithQuota", why: "gives executable memory unless asked for NonPagedPoolNx (0xC4/0x2000)" },
    Risk { name: "ExAllocatePoolWithQuotaTag", why: "gives executable memory unless asked for NonPagedPoolNx (0xC4/0x2000)" },
    Risk { name: "ExAllocatePoolWithTagPriority", why: "gives executable memory unless asked for NonPagedPoolNx (0xC4/0x2000)" },
    Risk { name: "ExInitializeNPagedLookasideList", why: "executable unless POOL_NX_ALLOCATION is given (0xC4/0x2000)" },
    Risk { name: "NdisAllocateMemoryWithTag", why: "gives executable memory (0xC4/0x2000)" },
    Risk { name: "MmMapLockedPages", why: "maps executable (0xC4/0x2002); use MmMapLockedPagesSpecifyCache with MdlMappingNoExecute" },
    Risk { name: "MmMapLockedPagesSpecifyCache", why: "maps executable without MdlMappingNoExecute (0xC4/0x2002)" },
    Risk { name: "MmMapIoSpace", why: "maps executable (0xC4/0x2001); use MmMapIoSpaceEx" },
    Risk { name: "MmProtectMdlSystemAddress", why: "may ask for an executable protection (0xC4/0x2001)" },
    Risk { name: "MmAllocateContiguousMemory", why: "gives executable memory; use MmAllocateContiguousNodeMemory" },
    Risk { name: "ZwAllocateVirtualMemory", why: "may ask for an executable protection (0xC4/0x2001)" },
    Risk { name: "ZwProtectVirtualMemory", why: "may ask for an executable protection (0xC4/0x2001)" },
    Risk { name: "ZwMapViewOfSection", why: "may ask for an executable protection (0xC4/0x2001)" },
];

/// The row of an export; module names do not depend on case.
pub(super) fn find(module: &str, name: &str) -> Option<&'static Export> {
    let is_it = |row: &&Export| row.name == name && row.module.eq_ignore_ascii_case(module);
    EXPORTS.iter().find(is_it)
}
