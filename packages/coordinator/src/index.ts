/** Coordinator: members, certificates, invitations and the signed grid description. */
export { type Administration, openAdministration } from "./administration.ts"
export { type Coordinator, type CoordinatorOptions, startCoordinator } from "./coordinator.ts"
export type { KnownMember, TenantRow } from "./database.ts"
export { createInvite, type InviteOptions, listTenants } from "./invite.ts"
export { type ListedMember, labelNode, listMembers, readDescription, revokeMember } from "./members.ts"
export { chooseVoters, exportRoot, signRootEpoch } from "./root.ts"
