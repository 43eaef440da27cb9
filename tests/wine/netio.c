// SPDX-License-Identifier: MIT OR Apache-2.0

// A stand-in for netio.sys under Wine, whose own has no Network Module Registrar. Attaches each
// client to each provider of the same interface, as the registrar does, and reports what it sees.
//
// Calls come one after the other here (Wine starts and stops services one by one), so the lists
// have no lock. A client whose module id begins with REFUSED_ID cannot register: this is how tests
// make registration fail.

#define NMRAPI __declspec(dllexport)
#include "nmr.h"

#define REFUSED_ID 0xFA11FA11
#define POOL_TAG 'rmNj'

typedef struct {
    LIST_ENTRY Link;
    const NPI_CLIENT_CHARACTERISTICS *Client; // NULL for a provider.
    const NPI_PROVIDER_CHARACTERISTICS *Provider;
    void *Context;
} REGISTRATION;

typedef struct {
    LIST_ENTRY Link;
    REGISTRATION *Client, *Provider;
    void *ClientContext, *ProviderContext;
    BOOLEAN Attached;
} BINDING;

static LIST_ENTRY Registrations = {&Registrations, &Registrations};
static LIST_ENTRY Bindings = {&Bindings, &Bindings};

static const NPI_REGISTRATION_INSTANCE *InstanceOf(const REGISTRATION *registration)
{
    return registration->Client ? &registration->Client->ClientRegistrationInstance
                                : &registration->Provider->ProviderRegistrationInstance;
}

static void *Allocate(SIZE_T size)
{
    void *memory = ExAllocatePoolWithTag(NonPagedPoolNx, size, POOL_TAG);
    if (memory)
        RtlZeroMemory(memory, size);
    return memory;
}

static void Offer(REGISTRATION *client, REGISTRATION *provider)
{
    const NPI_REGISTRATION_INSTANCE *offered = InstanceOf(provider);
    if (RtlCompareMemory(InstanceOf(client)->NpiId, offered->NpiId, sizeof(GUID)) != sizeof(GUID))
        return;
    BINDING *binding = Allocate(sizeof(*binding));
    if (!binding)
        return;
    binding->Client = client;
    binding->Provider = provider;
    InsertTailList(&Bindings, &binding->Link);
    NTSTATUS status = client->Client->ClientAttachProvider(binding, client->Context, offered);
    DbgPrint("judge: client answers the offer with %08lx\n", status);
    if (status == STATUS_SUCCESS && binding->Attached)
        return;
    if (status == STATUS_SUCCESS || binding->Attached)
        DbgPrint("judge: WRONG: the client's answer contradicts the attachment\n");
    RemoveEntryList(&binding->Link);
    ExFreePoolWithTag(binding, POOL_TAG);
}

static NTSTATUS Register(REGISTRATION wanted, HANDLE *handle)
{
    REGISTRATION *own = Allocate(sizeof(*own));
    if (!own)
        return STATUS_INSUFFICIENT_RESOURCES;
    *own = wanted;
    *handle = own;
    InsertTailList(&Registrations, &own->Link);
    for (LIST_ENTRY *at = Registrations.Flink, *next; at != &Registrations; at = next) {
        next = at->Flink;
        REGISTRATION *other = CONTAINING_RECORD(at, REGISTRATION, Link);
        if (own->Client && other->Provider)
            Offer(own, other);
        else if (own->Provider && other->Client)
            Offer(other, own);
    }
    return STATUS_SUCCESS;
}

static void Detach(BINDING *binding)
{
    const NPI_CLIENT_CHARACTERISTICS *client = binding->Client->Client;
    const NPI_PROVIDER_CHARACTERISTICS *provider = binding->Provider->Provider;
    NTSTATUS status = client->ClientDetachProvider(binding->ClientContext);
    DbgPrint("judge: client detaches with %08lx\n", status);
    provider->ProviderDetachClient(binding->ProviderContext);
    if (client->ClientCleanupBindingContext)
        client->ClientCleanupBindingContext(binding->ClientContext);
    if (provider->ProviderCleanupBindingContext)
        provider->ProviderCleanupBindingContext(binding->ProviderContext);
    RemoveEntryList(&binding->Link);
    ExFreePoolWithTag(binding, POOL_TAG);
}

// Always pending, so that the client must wait.
static NTSTATUS Deregister(REGISTRATION *registration)
{
    for (LIST_ENTRY *at = Bindings.Flink, *next; at != &Bindings; at = next) {
        next = at->Flink;
        BINDING *binding = CONTAINING_RECORD(at, BINDING, Link);
        if (binding->Client == registration || binding->Provider == registration)
            Detach(binding);
    }
    RemoveEntryList(&registration->Link);
    return STATUS_PENDING;
}

static NTSTATUS Complete(REGISTRATION *registration)
{
    ExFreePoolWithTag(registration, POOL_TAG);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI NmrRegisterClient(const NPI_CLIENT_CHARACTERISTICS *client, void *context, HANDLE *handle)
{
    const NPI_REGISTRATION_INSTANCE *instance = &client->ClientRegistrationInstance;
    const UCHAR *id = (const UCHAR *)&instance->ModuleId->Guid;
    DbgPrint("judge: NmrRegisterClient %u.%u instance %u.%u number %lu module %u type %lu id %02x%02x%02x%02x..%02x\n",
             client->Version, client->Length, instance->Version, instance->Size, instance->Number,
             instance->ModuleId->Length, instance->ModuleId->Type, id[0], id[1], id[2], id[3], id[15]);
    if (instance->NpiSpecificCharacteristics)
        DbgPrint("judge: WRONG: NpiSpecificCharacteristics is not null\n");
    if (instance->ModuleId->Guid.Data1 == REFUSED_ID)
        return STATUS_INSUFFICIENT_RESOURCES;
    return Register((REGISTRATION){.Client = client, .Context = context}, handle);
}

NTSTATUS NTAPI NmrRegisterProvider(const NPI_PROVIDER_CHARACTERISTICS *provider, void *context, HANDLE *handle)
{
    return Register((REGISTRATION){.Provider = provider, .Context = context}, handle);
}

NTSTATUS NTAPI NmrClientAttachProvider(HANDLE handle, void *client_context, const void *client_dispatch,
                                       void **provider_context, const void **provider_dispatch)
{
    BINDING *binding = handle;
    const NPI_PROVIDER_CHARACTERISTICS *provider = binding->Provider->Provider;
    binding->ClientContext = client_context;
    NTSTATUS status = provider->ProviderAttachClient(
        binding, binding->Provider->Context, InstanceOf(binding->Client), client_context, client_dispatch,
        &binding->ProviderContext, provider_dispatch);
    *provider_context = binding->ProviderContext;
    binding->Attached = status == STATUS_SUCCESS;
    return status;
}

NTSTATUS NTAPI NmrDeregisterClient(HANDLE handle)
{
    DbgPrint("judge: NmrDeregisterClient\n");
    return Deregister(handle);
}

NTSTATUS NTAPI NmrWaitForClientDeregisterComplete(HANDLE handle)
{
    DbgPrint("judge: NmrWaitForClientDeregisterComplete\n");
    return Complete(handle);
}

NTSTATUS NTAPI NmrDeregisterProvider(HANDLE handle)
{
    return Deregister(handle);
}

NTSTATUS NTAPI NmrWaitForProviderDeregisterComplete(HANDLE handle)
{
    return Complete(handle);
}

void NTAPI NmrClientDetachProviderComplete(HANDLE handle)
{
}

void NTAPI NmrProviderDetachClientComplete(HANDLE handle)
{
}

int NTAPI DllMain(void *module, ULONG reason, void *reserved)
{
    return 1;
}
