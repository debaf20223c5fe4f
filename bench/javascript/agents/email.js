// The local runtime has no email; nothing here sends any.
export class EmailMessage {}
