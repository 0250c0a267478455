/** Coordinator: members, certificates, invitations and the signed grid description. */
export { type Coordinator, type CoordinatorOptions, startCoordinator } from "./coordinator.ts"
export { createInvite, type InviteOptions } from "./invite.ts"
