import { spawn } from 'node:child_process'

import { flood, Gate } from '../tools/flood.mjs'
import { LENGTH, measure, rows } from '../tools/log-ways.mjs'

const lines = (tools) => tools.pick(100_000, 1_000_000)

// As long as those of the native writer: '#', twelve digits, a blank, what fills it, and the line's end.
const writer = `
const [gate, lines] = process.argv.slice(2)
const filler = '\\u20ac'.repeat(61) + 'xx'
require('fs').readFileSync(gate)
for (let line = 0; line < Number(lines); line++) console.log('#' + String(line).padStart(12, '0') + ' ' + filler)
setInterval(() => {}, 1e6)
`

export default {
  name: 'logs-node',
  rows(tools) {
    return rows(`${lines(tools)} times \`console.log\` (${LENGTH} bytes) in a Node app`, { fast: false })
  },

  measure(peer, tools) {
    return measure(peer, tools, lines(tools), (home, gate) => ({
      script: home.write('writer.js', writer),
      args: [gate.file, String(lines(tools))],
    }))
  },

  /** `node writer.js > file` */
  async floor(tools) {
    const home = tools.home()
    const gate = new Gate(home)
    const file = home.file('out.log')
    const command = 'exec "$0" "$1" "$2" "$3" > "$4"'
    const script = home.write('writer.js', writer)
    spawn('sh', ['-c', command, process.execPath, script, gate.file, String(lines(tools)), file], {
      env: home.env(),
      stdio: 'ignore',
    })
    const { rate, lost } = await flood({ gate, file, lines: lines(tools), length: LENGTH })
    if (lost > 0) throw new Error(`the shell lost ${lost} lines: the measurement is wrong`)
    return { plainRate: rate, stampedRate: rate, busRate: rate }
  },
}
