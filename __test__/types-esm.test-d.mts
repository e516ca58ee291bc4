// The ES module's entry: default, named exports and types.

import { expectTypeOf } from 'expect-type'
import pm2, { connect, list, type ProcessDescription, delete as remove, type StartOptions } from '../index.mjs'

expectTypeOf(connect).toEqualTypeOf<typeof pm2.connect>()
expectTypeOf(list()).resolves.toEqualTypeOf<ProcessDescription[]>()
expectTypeOf(remove).toEqualTypeOf<typeof pm2.delete>()
const options: StartOptions = { script: 'app.js' }
await pm2.start(options)
// @ts-expect-error no such method
pm2.web()
