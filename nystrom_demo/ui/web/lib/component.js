// What gradio gives the script of a `gr.HTML`, and what every module that starts one takes.

/**
 * @typedef {object} Component
 * @property {any} element the component's own element
 * @property {{value: any}} props its value, as the server sent it last
 * @property {(name: string, heard: () => void) => void} watch hears of each new value
 * @property {Record<string, (data?: object) => void>} fire its own events
 * @property {Palette} palette
 */

/**
 * The colours of figures/roles.py.
 * @typedef {object} Palette
 * @property {Record<string, string>} roles each role's colour as a mark
 * @property {Record<string, {light: string, dark: string}>} text and as text on either page
 * @property {string[]} sequential stops from zero to the largest weight
 * @property {string[]} diverging stops from the most negative to the most positive
 * @property {string[]} segments neighbouring segments' colours
 * @property {{light: string, dark: string}} ground
 */

export {};
