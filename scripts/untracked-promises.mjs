/**
 * Loaded before `node:test`: its runner hears of every promise that is made and collected, to say in which test an error came that nobody
 * waited for. For code made of promises that is half of the processor's time and more. Without it such an error still fails the file.
 */
import hooks from "node:async_hooks"

const { createHook } = hooks
hooks.createHook = (callbacks) => createHook({ ...callbacks, trackPromises: false })
