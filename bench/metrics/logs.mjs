import { spawn } from 'node:child_process'

import { flood, Gate } from '../tools/flood.mjs'
import { LENGTH, measure, rows } from '../tools/log-ways.mjs'

const lines = (tools) => tools.pick(500_000, 5_000_000)

export default {
  name: 'logs',
  rows(tools) {
    const amount = (lines(tools) * LENGTH) / 1e6
    return rows(`log to file, ${amount} MB of ${LENGTH}-byte lines from a native writer`, { fast: true })
  },

  measure(peer, tools) {
    return measure(peer, tools, lines(tools), (_, gate) => ({
      script: tools.native(),
      args: ['writer', gate.file, String(lines(tools))],
      interpreter: 'none',
    }))
  },

  /** `writer | cat > file` */
  async floor(tools) {
    const home = tools.home()
    const gate = new Gate(home)
    const file = home.file('out.log')
    const command = '"$0" writer "$1" "$2" | cat > "$3"'
    const child = spawn('sh', ['-c', command, tools.native(), gate.file, String(lines(tools)), file], {
      env: home.env(),
      stdio: 'ignore',
    })
    const { rate, lost } = await flood({ gate, file, lines: lines(tools), length: LENGTH })
    await home.end()
    if (child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve))
    if (lost > 0) throw new Error(`\`cat\` lost ${lost} lines: the measurement is wrong`)
    return { plainRate: rate, stampedRate: rate, busRate: rate }
  },
}
