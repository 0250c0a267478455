/**
 * What a witness of a grid takes: registers, and never a share, whoever sends one. Clients place none there; the node itself refuses
 * them so that a client that is wrong, or of before, cannot fill the small disk that it may have. See
 * docs/decisions/0026-labels-of-nodes.md.
 */
import type { TenantBackend } from "@holdfast/backends/directory"
import { HoldfastError } from "@holdfast/core"

/** The same backend, which refuses shares: ERR_REFUSED. */
export function keepingRegistersOnly(backend: TenantBackend): TenantBackend {
  return {
    ...backend,
    async putShares() {
      throw new HoldfastError("ERR_REFUSED", "This node is a witness: it keeps roots of trees, and takes no shares.")
    },
  }
}
