// SPDX-License-Identifier: MIT OR Apache-2.0

// The Network Module Registrar interface as documented for the Windows driver kit, as far as native
// modules use it. The headers of MinGW do not have it.

#pragma once

#include <ntddk.h>

typedef struct {
    USHORT Length;
    ULONG Type; // 1: the module is known by a GUID.
    GUID Guid;
} NPI_MODULEID;

typedef struct {
    USHORT Version;
    USHORT Size;
    const GUID *NpiId;
    const NPI_MODULEID *ModuleId;
    ULONG Number;
    const void *NpiSpecificCharacteristics;
} NPI_REGISTRATION_INSTANCE;

typedef struct {
    USHORT Version;
    USHORT Length;
    NTSTATUS(NTAPI *ClientAttachProvider)(HANDLE, void *, const NPI_REGISTRATION_INSTANCE *);
    NTSTATUS(NTAPI *ClientDetachProvider)(void *);
    void(NTAPI *ClientCleanupBindingContext)(void *);
    NPI_REGISTRATION_INSTANCE ClientRegistrationInstance;
} NPI_CLIENT_CHARACTERISTICS;

typedef struct {
    USHORT Version;
    USHORT Length;
    NTSTATUS(NTAPI *ProviderAttachClient)
    (HANDLE, void *, const NPI_REGISTRATION_INSTANCE *, void *, const void *, void **, const void **);
    NTSTATUS(NTAPI *ProviderDetachClient)(void *);
    void(NTAPI *ProviderCleanupBindingContext)(void *);
    NPI_REGISTRATION_INSTANCE ProviderRegistrationInstance;
} NPI_PROVIDER_CHARACTERISTICS;

#ifndef NMRAPI
#define NMRAPI __declspec(dllimport)
#endif

NMRAPI NTSTATUS NTAPI NmrRegisterClient(const NPI_CLIENT_CHARACTERISTICS *, void *, HANDLE *);
NMRAPI NTSTATUS NTAPI NmrDeregisterClient(HANDLE);
NMRAPI NTSTATUS NTAPI NmrWaitForClientDeregisterComplete(HANDLE);
NMRAPI NTSTATUS NTAPI NmrClientAttachProvider(HANDLE, void *, const void *, void **, const void **);
NMRAPI NTSTATUS NTAPI NmrRegisterProvider(const NPI_PROVIDER_CHARACTERISTICS *, void *, HANDLE *);
NMRAPI NTSTATUS NTAPI NmrDeregisterProvider(HANDLE);
NMRAPI NTSTATUS NTAPI NmrWaitForProviderDeregisterComplete(HANDLE);
NMRAPI void NTAPI NmrClientDetachProviderComplete(HANDLE);
NMRAPI void NTAPI NmrProviderDetachClientComplete(HANDLE);
