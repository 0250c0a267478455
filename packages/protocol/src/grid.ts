/**
 * The signed grid description: who the servers are and how data is spread. Clients cache it and go on without the
 * coordinator. Specification: docs/formats/grid-description.md.
 */
import { z } from "zod"

/** A storage node as the grid describes it. */
export const gridServerSchema = z.object({
  /** Stable member id; placement depends on it. */
  id: z.string().min(1).max(64),
  name: z.string().max(64),
  /** host:port of its TLS listener. */
  address: z.string().min(1).max(300),
  /** Relative weight for placement: capacity in bytes. */
  capacityBytes: z.number().int().nonnegative(),
})

/** Most keys that a description revokes. */
export const maxRevoked = 65_536

/** What every member of a grid knows. */
export const gridDescriptionSchema = z.object({
  /** 2 says which keys are revoked. */
  version: z.union([z.literal(1), z.literal(2)]),
  gridId: z.string().min(1).max(64),
  name: z.string().max(64),
  /** Grows with every change. */
  serial: z.number().int().nonnegative(),
  issuedMs: z.number().int().nonnegative(),
  coordinator: z.string().max(300),
  /** PEM of the grid's certificate authority. */
  caPem: z.string().max(16_384),
  coding: z.object({
    k: z.number().int().min(1).max(255),
    happy: z.number().int().min(1).max(255),
    n: z.number().int().min(1).max(255),
  }),
  /** crash: n >= 2f+1 servers, f of them gone; byzantine: n >= 3f+1, f of them lying. */
  registerMode: z.enum(["crash", "byzantine"]),
  servers: z.array(gridServerSchema).max(4096),
  /** Keys that no member accepts any more: base64url of the SHA-256 of each. Never gets shorter. */
  revoked: z
    .array(z.string().regex(/^[A-Za-z0-9_-]{43}$/))
    .max(maxRevoked)
    .optional(),
})

export type GridServer = z.infer<typeof gridServerSchema>
export type GridDescription = z.infer<typeof gridDescriptionSchema>
