// Two structures of one name, flavours aside, that disagree about one field.
struct task { int other, pid, same; };
struct task___b { int pid, other, same; };
struct task one;
struct task___b two;
