/** Pages beside the source are imported as texts. */
declare module "*.html" {
  const text: string;
  export default text;
}
