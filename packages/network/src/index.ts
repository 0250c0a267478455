/** Network: TLS identities, servers and requests between members of a grid, and what daemons share. */

export { readsHeader } from "./coordinator-call.ts"
export { createLogger, isLogLevel, type Logger, type LogLevel } from "./daemon/log.ts"
export { type Labels, Metrics } from "./daemon/metrics.ts"
export { type Health, type MonitorPlace, startMonitor } from "./daemon/monitor.ts"
export { sparingLogger } from "./daemon/sparing.ts"
export {
  digestOf,
  openGrid,
  openRoot,
  parseJson,
  publicKeyText,
  type SignedGrid,
  signedGridSchema,
  signGrid,
  signRoot,
} from "./grid.ts"
export { type Joined, type JoinOptions, join, joinedOf } from "./join.ts"
export { keepMembership, type MembershipOptions } from "./keep-membership.ts"
export {
  announce,
  fetchMembers,
  type Member,
  renewIdentity,
  type TenantAdministration,
} from "./membership.ts"
export { loadGrid, loadPins } from "./pins/cached.ts"
export {
  acceptOffer,
  askedMs,
  confirmServers,
  type FetchedGrid,
  fetchGrid,
  type GridOffer,
  loadOffer,
  refuseOffer,
} from "./pins/fetch.ts"
export { type Change, formedVoters, type Judgement, judgeGrid, maxSerialStep, type Offered } from "./pins/judge.ts"
export { confirmed, firstPins, type Pins, taken } from "./pins/pins.ts"
export { absentVoters, type Standing, standingsOf } from "./pins/standing.ts"
export { loadMemberRecord, type MemberRecord } from "./record.ts"
export { type BytesResponse, createAgent, type RequestOptions, requestBytes } from "./tls/agent.ts"
export {
  type Authority,
  createAuthority,
  fingerprintOf,
  isServerName,
  openAuthority,
  requestedKey,
  type SignOptions,
} from "./tls/authority.ts"
export type { AgentOptions, Credentials } from "./tls/expected.ts"
export {
  checkIdentity,
  createKeyAndRequest,
  expiresSoon,
  type Identity,
  type IdentityFiles,
  loadIdentity,
  saveIdentity,
} from "./tls/identity.ts"
export { prefixesOf } from "./tls/prefix.ts"
export { type RefusalReason, refusalMessage, refusalOf } from "./tls/refusal.ts"
export { keyIdOf, keyIdOfKey, RevokedKeys } from "./tls/revoked.ts"
export { type AccessRole, accessRoles, parseRoles, rolesOf } from "./tls/roles.ts"
export { closeServer, contextOf, createTlsServer, listen, peerOf, type TlsServerOptions } from "./tls/server.ts"
export { badMemberName, isName, isRole, type Role, type Subject } from "./tls/subject.ts"
export { type Address, formatAddress, parseAddress } from "./tls/unreachable.ts"
export {
  type TransportCall,
  TransportClient,
  type TransportResponse,
} from "./transport/client.ts"
export type { Answer, Exchange } from "./transport/exchange.ts"
